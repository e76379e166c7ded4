"""Faults in place of an answer: a refusal, a redirect, a delay, an end, silence."""

import asyncio

from http_faults import HASTY
from loopback.faults.cases import case, faults_of
from loopback.faults.clients import failure, finals, hear, raw, recognise, say, speak_http
from smallest_proto.errors import ConnectionLost, DeadlineExceeded, HandshakeRejected, ServerError
from smallest_proto.limits import Limits
from smallest_transports.asyncio import connect_pulse
from smallest_transports.loopback import LoopbackServer
from smallest_transports.loopback.fault_bodies import error_text
from sockets import QUICK


@case("reject=400", "reject=401", "reject=403", "reject=404", "reject=410", "reject=500", "reject=503")
async def rejected(server: LoopbackServer) -> None:
    status = faults_of(server).reject
    for work in (hear(server), say(server)):
        error = await failure(work, HandshakeRejected)
        assert error.status == status
        assert error.message
    for request in (recognise(server), speak_http(server)):
        assert (await failure(request, ServerError)).status == status


@case("reject=429 retry_after=7", "reject=503 retry_after=7")
async def told_when_to_come_again(server: LoopbackServer) -> None:
    for work in (hear(server), say(server), recognise(server), speak_http(server)):
        error = await failure(work, ServerError)
        assert (error.retry_after, error.retryable) == (7.0, True)


@case("reject=400 error=E5", "reject=400 error=E16", "reject=418 error=E20")
async def refused_in_a_shape(server: LoopbackServer) -> None:
    error = await failure(hear(server), HandshakeRejected)
    shape = faults_of(server).error
    assert shape is not None
    assert isinstance(error, HandshakeRejected)
    assert error.body == error_text(shape).encode()


@case("redirect=http://127.0.0.1:9/elsewhere")
async def redirected(server: LoopbackServer) -> None:
    assert (await failure(hear(server), HandshakeRejected)).status == 307
    assert (await failure(recognise(server), ServerError)).status == 307
    answer = await raw(server, "/waves/v1/stt/live")
    assert b"\r\nLocation: http://127.0.0.1:9/elsewhere\r\n" in answer


@case("slow_accept=0.5")
async def slow_to_accept(server: LoopbackServer) -> None:
    begun = asyncio.get_running_loop().time()
    assert finals(await hear(server))
    assert asyncio.get_running_loop().time() - begun >= 0.5
    late = connect_pulse(base_url=server.url, limits=Limits(handshake_timeout=0.1), resume=False)
    assert (await failure(late.__aenter__(), DeadlineExceeded)).code == "handshake"
    assert (await failure(speak_http(server, limits=HASTY), DeadlineExceeded)).code == "response"


@case("no_answer=hang_up", "no_answer=reset")
async def no_answer_but_an_end(server: LoopbackServer) -> None:
    for work in (hear(server), say(server), recognise(server), speak_http(server)):
        await failure(work, ConnectionLost)


@case("no_answer=silence")
async def no_answer_at_all(server: LoopbackServer) -> None:
    quiet = connect_pulse(base_url=server.url, limits=QUICK, resume=False)
    assert (await failure(quiet.__aenter__(), DeadlineExceeded)).code == "handshake"
    assert (await failure(speak_http(server, limits=HASTY), DeadlineExceeded)).code == "response"
