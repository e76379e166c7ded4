"""The accelerated transport: its frames are those of the core, its keys are fresh, its faults the shared ones.

That it behaves as `smallest_transports.asyncio` is shown by the shared suite, of which it is one more loop.
"""

import asyncio
import base64
import builtins
import importlib
import inspect
import json
import sys
import threading
import traceback
from collections.abc import Awaitable, Callable
from functools import partial, reduce
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pybase64 import b64decode
from websockets.speedups import apply_mask

from faults import FAULTS
from loops import KEY, LOOPS, contexts
from smallest_proto.errors import DeadlineExceeded, HandshakeRejected, ProtocolError
from smallest_proto.lightning import AudioChunk, LightningOptions, decode
from smallest_proto.lightning.decode import parse
from smallest_proto.limits import Limits
from smallest_proto.pulse import FinalTranscript, PulseOptions
from smallest_proto.wire import frame_writer
from smallest_proto.wire.frame_writer import FrameWriter
from smallest_proto.wire.frames import FrameReader
from smallest_transports import asyncio as plain
from smallest_transports import fast
from sockets import (
    BINARY,
    PING,
    PONG,
    QUICK,
    TEXT,
    Peer,
    chunk,
    complete,
    frame,
    hosted,
    raw_server,
    stall,
    transcript,
    until,
)

SECOND = bytes(32000)
EVERY_SIZE = st.one_of(
    st.sampled_from([0, 1, 125, 126, 127, 65535, 65536, 70000]), st.integers(0, 2000)
).flatmap(lambda size: st.randoms(use_true_random=False).map(lambda random: random.randbytes(size)))

RUNNERS = {"asyncio": LOOPS["asyncio"][1], "uvloop": LOOPS["uvloop"][1]}
EVERY_WAY = pytest.mark.parametrize(
    ("loop", "tls"), [(loop, tls) for loop in RUNNERS for tls in (False, True)], ids=str
)


def fast_writer() -> FrameWriter:
    return FrameWriter(client=True, mask=apply_mask)


def run(
    loop: str, tls: bool, behave: Callable[[Peer], Awaitable[None]], client: Callable[..., Awaitable[object]]
) -> None:
    """Run `client(connect options)` against a server that treats it as `behave` says."""
    server, trusting = contexts()
    with hosted(raw_server(behave, ssl=server if tls else None)) as url:
        options: dict[str, Any] = {"base_url": url, "api_key": KEY, "limits": QUICK}
        if tls:
            options["ssl_context"] = trusting

        async def main() -> None:
            async with asyncio.timeout(20):
                await client(options)

        RUNNERS[loop](main)


@given(EVERY_SIZE)
def test_a_binary_frame_is_read_back_by_the_server(payload: bytes) -> None:
    reader = FrameReader(client=False, limits=Limits())
    reader.receive_bytes(fast_writer().message(payload))
    assert reader.next() == payload
    assert reader.next() is None


@given(st.text())
def test_a_text_frame_is_read_back_by_the_server(text: str) -> None:
    reader = FrameReader(client=False, limits=Limits())
    reader.receive_bytes(fast_writer().message(text))
    assert reader.next() == text


def key_of(data: bytes) -> bytes:
    assert data[1] == 0x80  # masked, and empty
    return data[2:6]


def test_no_key_is_used_twice_and_none_follows_from_another() -> None:
    writer = fast_writer()
    keys = [key_of(writer.message(b"")) for _ in range(3000)]  # more than one pool
    # by chance two of 3,000 are alike once in a thousand runs, and three alike never
    assert len(set(keys)) >= len(keys) - 1
    other = fast_writer()
    assert {key_of(other.message(b"")) for _ in range(100)}.isdisjoint(keys[:100])


def pieces_put_into(text: str) -> st.SearchStrategy[str]:
    """The text, or one damaged by what is next to base64: other alphabets, padding out of place, blanks, cuts."""
    damage = st.tuples(
        st.integers(0, len(text)),
        st.integers(0, 2),
        st.text("AQgw=-_+/ \n\r\t.*\x00\x7f\u00e9\u4e00", max_size=3),
    )
    return st.lists(damage, max_size=2).map(
        lambda cuts: reduce(lambda t, cut: t[: cut[0]] + cut[2] + t[cut[0] + cut[1] :], cuts, text)
    )


BASE64 = EVERY_SIZE.map(lambda data: base64.b64encode(data).decode()).flatmap(pieces_put_into)


@given(BASE64 | st.text("AQgw=", max_size=9) | st.text(max_size=9), st.booleans())
def test_what_is_base64_and_what_it_says_is_the_same_as_without(audio: str, escaped: bool) -> None:
    text = json.dumps({"status": "chunk", "request_id": "r", "data": {"audio": audio}})
    message = text.replace("/", "\\/") if escaped else text
    assert parse(message, partial(b64decode, validate=True)) == parse(message)


def test_the_names_and_their_arguments_are_those_of_the_plain_transport() -> None:
    assert set(fast.__all__) == set(plain.__all__)
    for name in fast.__all__:
        mine, theirs = getattr(fast, name), getattr(plain, name)
        if inspect.isclass(theirs) or not callable(theirs):
            assert mine is theirs
        else:
            assert inspect.signature(mine) == inspect.signature(theirs), name


@pytest.mark.parametrize("package", ["websockets", "pybase64"])
def test_without_its_packages_the_import_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    real = builtins.__import__

    def without(name: str, *rest: object) -> object:
        if name.startswith(package):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *rest)  # type: ignore[arg-type]  # passed on as it came

    monkeypatch.delitem(sys.modules, "smallest_transports.fast")
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ModuleNotFoundError, match=r"smallest-proto\[fast\]"):
        importlib.import_module("smallest_transports.fast")


@EVERY_WAY
@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_is_the_documented_error(loop: str, tls: bool, name: str) -> None:
    fault = FAULTS[name]

    async def hear(options: dict[str, Any]) -> None:
        async with fast.connect_pulse(**options, resume=False) as stream:
            await stream.send_audio(SECOND)
            async for _ in stream:
                pass

    async def speak(options: dict[str, Any]) -> None:
        async with fast.connect_lightning(LightningOptions(linger=0.02), **options) as stream:
            async for _ in await stream.speak("Good morning."):
                pass

    async def both(options: dict[str, Any]) -> None:
        for client in (hear, speak):
            with pytest.raises(ProtocolError) as caught:
                await client(options)
            assert type(caught.value) is fault.error
            assert {field: getattr(caught.value, field) for field in fault.fields} == fault.fields

    run(loop, tls, fault.behave, both)


@EVERY_WAY
def test_audio_arrives_masked_whole_and_in_order(loop: str, tls: bool) -> None:
    pcm = b"".join(number.to_bytes(2) for number in range(16000))
    got = bytearray()

    async def behave(peer: Peer) -> None:
        await peer.accept()
        peer.send(frame(PING, b"still there?"))
        ponged = False
        while len(got) < len(pcm) or not ponged:
            opcode, payload = await peer.frame()
            if opcode == BINARY:
                got.extend(payload)
            ponged = ponged or (opcode == PONG and payload == b"still there?")
        peer.text(transcript("one", is_last=True))
        await peer.until_gone()

    async def client(options: dict[str, Any]) -> None:
        async with fast.connect_pulse(**options, resume=False) as stream:
            await stream.send_audio(pcm)
            seen = [event async for event in stream]
            assert [event.text for event in seen if isinstance(event, FinalTranscript)] == ["one"]

    run(loop, tls, behave, client)
    assert bytes(got) == pcm


@pytest.mark.parametrize("speech", [False, True])
def test_no_message_is_masked_in_python(monkeypatch: pytest.MonkeyPatch, speech: bool) -> None:
    def slow(*_: object) -> bytes:
        raise AssertionError("masked in Python")

    async def behave(peer: Peer) -> None:
        await peer.accept()
        await peer.frame()
        peer.text(complete() if speech else transcript("one", is_last=True))
        await peer.until_gone()

    async def client(options: dict[str, Any]) -> None:
        if not speech:
            async with fast.connect_pulse(**options, resume=False) as stream:
                await stream.send_audio(SECOND)
                assert [event async for event in stream]
            return
        quick = LightningOptions(linger=0.02)
        async with fast.connect_lightning(quick, **options) as connection:
            assert [event async for event in await connection.speak("Good morning.")]
        async with fast.lightning_pool(quick, **options) as pool, pool.speak("Good morning.") as spoken:
            assert [event async for event in spoken]

    monkeypatch.setattr(frame_writer, "mask_bytes", slow)
    run("asyncio", False, behave, client)


def test_no_audio_is_decoded_by_msgspec(monkeypatch: pytest.MonkeyPatch) -> None:
    pcm = bytes(range(256))

    async def behave(peer: Peer) -> None:
        await peer.accept()
        await peer.frame()
        peer.text(chunk(pcm))
        peer.text(complete())
        await peer.until_gone()

    async def client(options: dict[str, Any]) -> None:
        segment = LightningOptions(text_mode="segment")
        async with fast.connect_lightning(segment, **options) as connection:
            heard: list[object] = [event async for event in await connection.speak("Good morning.")]
        async with fast.lightning_pool(segment, **options) as pool, pool.speak("Good morning.") as spoken:
            heard += [event async for event in spoken]
        assert [event.pcm for event in heard if isinstance(event, AudioChunk)] == [pcm, pcm]

    monkeypatch.setattr(decode, "_decoder", None)
    monkeypatch.setattr(decode, "_parse_leniently", None)
    run("asyncio", False, behave, client)


@EVERY_WAY
def test_a_server_that_does_not_read_holds_the_sender_back_and_a_cancelled_send_cuts_no_frame(
    loop: str, tls: bool
) -> None:
    sent = 0
    go_on = threading.Event()

    async def behave(peer: Peer) -> None:
        await peer.accept()
        peer.stop_reading()
        await until(go_on.is_set)
        peer.go_on_reading()
        opcode, payload = await peer.frame()
        while opcode == BINARY:  # whatever was cancelled, frame follows frame up to the end of the audio
            opcode, payload = await peer.frame()
        assert (opcode, payload) == (TEXT, b'{"type":"close_stream"}')
        peer.text(transcript("one", is_last=True))
        await peer.until_gone()

    async def client(options: dict[str, Any]) -> None:
        async def send() -> None:
            nonlocal sent
            while True:
                await stream.send_audio(SECOND)
                sent += len(SECOND)

        patient = Limits(drain_timeout=15.0)
        async with fast.connect_pulse(**{**options, "limits": patient}, resume=False) as stream:
            sender = asyncio.create_task(send())
            await stall(lambda: sent, most=64 * 1024 * 1024)
            sender.cancel()
            await asyncio.wait({sender})
            go_on.set()
            await stream.end_input()
            assert [event async for event in stream]

    run(loop, tls, behave, client)


@EVERY_WAY
def test_a_silent_peer_is_pinged_then_given_up(loop: str, tls: bool) -> None:
    pings: list[int] = []

    async def behave(peer: Peer) -> None:
        await peer.accept()
        while True:
            opcode, _ = await peer.frame()
            if opcode == PING:
                pings.append(opcode)

    async def client(options: dict[str, Any]) -> None:
        async with fast.connect_pulse(PulseOptions(heartbeat=0.1), **options, resume=False) as stream:
            with pytest.raises(DeadlineExceeded) as caught:
                async for _ in stream:
                    pass
            assert caught.value.code == "pong"

    run(loop, tls, behave, client)
    assert pings == [PING]


def test_the_key_is_in_no_log_and_in_no_traceback(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(1)  # below DEBUG: some libraries log what they send there
    monkeypatch.setenv("SMALLEST_API_KEY", KEY)  # so that no variable of the test itself holds it

    async def behave(peer: Peer) -> None:
        await peer.refuse(401, f"who is {KEY}?".encode(), X_Echo=f"Bearer {KEY}")

    async def client(options: dict[str, Any]) -> None:
        del options["api_key"]
        with pytest.raises(HandshakeRejected) as caught:
            async with fast.connect_pulse(**options, resume=False):
                pass
        shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
        assert KEY not in "".join(shown.format())
        assert KEY.encode() not in caught.value.body
        assert KEY not in repr(caught.value.headers)

    run("asyncio", False, behave, client)
    assert KEY not in caplog.text
