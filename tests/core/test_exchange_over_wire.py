"""The vectors once more, as bytes: both ends of a real HTTP connection, the machines on top."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from http_vectors import cases, content, exchange_for, joined, options, request
from smallest_proto.events import NEED_DATA
from smallest_proto.exchange import RequestFailed
from smallest_proto.pulse import (
    BatchAsked,
    BatchAudio,
    BatchCompleted,
    BatchExchange,
    BatchOptions,
    BatchRefusal,
    BatchResult,
    batch_asked,
    batch_refusal,
    batch_reply,
    batch_request,
)
from smallest_proto.testing import Cut, bytewise, random_cuts, whole
from smallest_proto.wav import wav_file
from smallest_proto.wire.http import HttpServerWire, HttpWire
from smallest_proto.wire.http_events import BodyReceived, RequestStarted
from vectors_runner import mismatch, to_json

CASES = [
    (vector, variant)
    for vector, variant in cases("batch", "speech", "speech_events", "voices")
    if "status" in vector["response"] and vector["response"].get("end") != "lost"
]


def carry(source: HttpWire | HttpServerWire, target: HttpWire | HttpServerWire, cut: Cut) -> None:
    for piece in cut(source.data_to_send()):
        target.receive_data(piece, 0.0)


def asked_of(server: HttpServerWire) -> tuple[RequestStarted, bytes]:
    """The request that has arrived."""
    started, body = None, bytearray()
    while (event := server.next_event()) is not NEED_DATA:
        if isinstance(event, RequestStarted):
            started = event
        elif isinstance(event, BodyReceived):
            body += event.data
    assert started is not None
    return started, bytes(body)


@pytest.mark.parametrize("cut", [whole, random_cuts(Random(5))], ids=["whole", "cut"])
@pytest.mark.parametrize(("vector", "variant"), CASES, ids=[f"{v['id']}-{variant}" for v, variant in CASES])
def test_a_vector_as_bytes(vector: dict[str, Any], variant: str, cut: Cut) -> None:
    client, server = HttpWire(), HttpServerWire()
    if "request" in vector:
        asking = request(vector, variant)
    else:
        asking = batch_request(BatchAudio(wav_file(b"ab", 8000)), api_key=None)
    client.start(asking, 0.0)
    carry(client, server, cut)
    started, body = asked_of(server)
    assert (started.method, started.target, body) == (asking.method, asking.target, asking.body)
    response = vector["response"]
    server.respond(
        response["status"],
        0.0,
        response.get("headers", {}).items(),
        content(response.get("body", {"zeros": 0})),
    )
    carry(server, client, cut)
    exchange = exchange_for(vector, options(vector, variant))
    while (event := client.next_event()) is not NEED_DATA:
        exchange.receive(event)
    actual, expected = [to_json(event) for event in joined(exchange)], vector["events"][variant]
    assert [e["type"] for e in actual] == [e["type"] for e in expected]
    assert mismatch(expected, actual) is None


def test_a_client_and_a_server_of_recordings() -> None:
    client, server = HttpWire(), HttpServerWire()
    for turn in range(3):  # on one connection
        asking = batch_request(BatchAudio(wav_file(bytes(640), 16000)), api_key=None)
        client.start(asking, 0.0)
        carry(client, server, bytewise)
        started, body = asked_of(server)
        asked = batch_asked(started.method, started.target, started.headers, body)
        assert isinstance(asked, BatchAsked)
        assert (asked.audio, asked.options) == (wav_file(bytes(640), 16000), BatchOptions())
        reply = batch_reply(BatchResult(text="hi"))
        if turn == 1:
            reply = batch_refusal(BatchRefusal.RATE, "stt", retry_after=4)
        server.respond(reply.status, 0.0, reply.headers, reply.body)
        carry(server, client, bytewise)
        exchange = BatchExchange()
        while (event := client.next_event()) is not NEED_DATA:
            exchange.receive(event)
        last = exchange.next_event()
        if turn == 1:
            assert isinstance(last, RequestFailed)
            assert (last.error.status, last.error.retry_after, last.error.retryable) == (429, 4.0, True)
        else:
            assert isinstance(last, BatchCompleted)
            assert last.result.text == "hi"
        assert client.reusable
