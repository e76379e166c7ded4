"""Properties of whole sessions: client against server, and client against anything."""

from __future__ import annotations

import base64
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from smallest_proto.errors import LocalProtocolError
from smallest_proto.events import NEED_DATA, ConnectionClosed, Event, Role
from smallest_proto.lightning import (
    AudioChunk,
    CancelContext,
    ContextCancelled,
    ContextClosed,
    ContextComplete,
    ContextFailed,
    FinishContext,
    FlushText,
    KeepAlive,
    LightningConnection,
    LightningOptions,
    OpenContext,
    SendAudio,
    SendComplete,
    SendText,
    SendWord,
    Speak,
    SynthesisRequested,
    TextReceived,
    WordTimestamp,
)
from snapshots import snapshot

TEXTS = st.lists(st.text(max_size=8).filter(lambda t: t.isprintable() or not t.strip()), max_size=6)
SAMPLES = st.lists(st.binary(min_size=2, max_size=20).filter(lambda b: len(b) % 2 == 0), min_size=1)


def events_of(connection: LightningConnection) -> list[Event]:
    events: list[Event] = []
    while (event := connection.next_event()) is not NEED_DATA:
        events.append(event)
    return events


def carry(source: LightningConnection, target: LightningConnection, now: float) -> None:
    for message in source.messages_to_send():
        target.receive_message(message, now)


@given(st.sampled_from(["context", "continue", "segment"]), st.lists(st.tuples(TEXTS, SAMPLES), max_size=3))
def test_what_goes_in_comes_out(mode: Any, turns: list[tuple[list[str], list[bytes]]]) -> None:
    client = LightningConnection(LightningOptions(text_mode=mode, word_timestamps=True))
    server = LightningConnection(LightningOptions(), Role.SERVER)
    now = 0.0
    for texts, audio in turns:
        now += 1.0
        pieces = [t for t in texts if t] or ["x"]
        if mode == "segment":
            pieces = ["".join(pieces)]
            client.send(Speak(pieces[0]), now)
        else:
            for piece in pieces:
                client.send(SendText(piece), now)
            client.send(FinishContext(), now)
        carry(client, server, now)
        heard = events_of(server)
        text = "".join(e.text for e in heard if isinstance(e, SynthesisRequested | TextReceived))
        whole = "".join(pieces)
        if not whole.strip():
            assert not heard
            assert [type(e) for e in events_of(client)] == [ContextComplete]
            continue
        trailing = len(whole) - len(whole.rstrip())
        assert text == whole or (mode != "segment" and text.rstrip() == whole.rstrip() and trailing)
        assert isinstance(heard[-1], SynthesisRequested if mode == "segment" else ContextClosed)
        for pcm in audio:
            server.send(SendAudio(pcm), now)
        server.send(SendWord("x", 0.0, 0.1), now)
        server.send(SendComplete(), now)
        carry(server, client, now)
        client.handle_timeout(now + 0.25)
        *chunks, word, complete = events_of(client)
        assert b"".join(e.pcm for e in chunks if isinstance(e, AudioChunk)) == b"".join(audio)
        assert isinstance(word, WordTimestamp)
        assert isinstance(complete, ContextComplete)
        assert complete.confirmed
        assert client.reusable
        assert server.reusable


@given(st.binary(min_size=2), st.lists(st.integers(1, 9)), st.booleans())
def test_audio_survives_cuts_inside_samples(audio: bytes, sizes: list[int], blank: bool) -> None:
    """Odd pieces come in pairs, as from a server that cuts a stream of bytes where it likes, twice."""
    pcm = audio[: len(audio) // 2 * 2]
    client = LightningConnection(LightningOptions(text_mode="segment"))
    client.send(Speak("Hi."), 0.0)
    rest = pcm
    pieces = []
    for size in sizes:
        if size % 2 and size + 1 < len(rest):
            pieces += [rest[:size], rest[size : size + 1]]
            rest = rest[size + 1 :]
    for piece in [*pieces, rest, *([b""] if blank else [])]:
        data = {"audio": base64.b64encode(piece).decode()}
        client.receive_message(json.dumps({"status": "chunk", "request_id": "t", "data": data}), 0.0)
    assert b"".join(e.pcm for e in events_of(client) if isinstance(e, AudioChunk)) == pcm


REQUESTS = st.sampled_from(["", "a", "b", "c"])
FRAMES = st.one_of(
    st.builds(
        lambda status, request_id, data: json.dumps(
            {"status": status, "request_id": request_id, "data": data}
        ),
        st.sampled_from(["chunk", "chunk", "complete", "complete", "word_timestamp", "error", "later"]),
        REQUESTS,
        st.sampled_from(
            [{"audio": "AAAA"}, {"audio": "AA=="}, {"audio": "A"}, {}, {"word": "x", "start": 1, "end": 2}]
        ),
    ),
    st.sampled_from(["?", b"", '{"status":"error","message":"timed out after 60 seconds of inactivity"}']),
)
IDS = st.sampled_from([None, "abcdefgh", "ijklmnop", "bad"])
COMMANDS = st.one_of(
    st.builds(OpenContext, st.sampled_from(["abcdefgh", "ijklmnop"])),
    st.builds(SendText, st.sampled_from(["Hi.", " ", ""]), IDS),
    st.builds(Speak, st.sampled_from(["Hi.", " ", ""]), IDS),
    st.builds(FinishContext, IDS),
    st.builds(FlushText, IDS),
    st.builds(CancelContext, IDS),
    st.just(KeepAlive()),
)
STEPS = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.1, 0.25, 5.0, 10.0, 40.0]),
        st.one_of(
            COMMANDS, COMMANDS, FRAMES, FRAMES, FRAMES, st.sampled_from([1000, 1006]), st.just("close")
        ),
    ),
    max_size=25,
)
ENDS = (ContextComplete, ContextFailed, ContextCancelled)


@given(st.sampled_from(["context", "continue", "segment"]), st.sampled_from([None, 30.0]), STEPS)
def test_any_session(mode: Any, keepalive: float | None, steps: list[tuple[float, Any]]) -> None:
    client = LightningConnection(LightningOptions(text_mode=mode, keepalive_interval=keepalive))
    client.receive_open(0.0)
    now, events = 0.0, list[Event]()
    opened: list[str] = []
    for wait, step in steps:
        now += wait
        client.handle_timeout(now)
        assert (client.next_deadline() or now + 1) > now  # what is due is done
        before = client.context_id
        if isinstance(step, str | bytes) and step != "close":
            client.receive_message(step, now)
        elif step == "close":
            client.close(now)
            assert client.close_requested or client.closed
        elif isinstance(step, int):
            client.receive_close(step, "", now)
        else:
            state = snapshot(client)
            try:
                client.send(step, now)
            except LocalProtocolError:
                assert snapshot(client) == state
        new = events_of(client)
        if client.context_id != before and client.context_id:
            opened.append(client.context_id)
        elif client.context_id == before is None and any(isinstance(e, ENDS) for e in new):
            opened.append(next(e.context_id for e in new if isinstance(e, ENDS)))  # blank speech
        events += new
        if client.closed:
            assert client.messages_to_send() == []
            assert client.next_deadline() is None
    ended = [e.context_id for e in events if isinstance(e, ENDS)]
    assert len(set(ended)) == len(ended)
    assert [c for c in opened if c != client.context_id] == ended  # each ends once, and in its order
    for index, event in enumerate(events):
        if isinstance(event, AudioChunk):
            assert event.pcm
            assert event.context_id not in [e.context_id for e in events[:index] if isinstance(e, ENDS)]
        assert not isinstance(event, ConnectionClosed) or index == len(events) - 1


@given(st.lists(FRAMES | st.sampled_from(["finish", "text"]), max_size=10))
def test_any_server_session(messages: list[Any]) -> None:
    server = LightningConnection(LightningOptions(), Role.SERVER)
    for message in messages:
        if message == "finish":
            message = json.dumps({"voice_id": "v", "text": "", "context_id": "a", "continue": False})
        elif message == "text":
            message = json.dumps({"voice_id": "v", "text": "x", "context_id": "a", "continue": True})
        server.receive_message(message, 0.0)
        for command in (SendAudio(b"ab"), SendComplete(), SendAudio(b"a")):
            state = snapshot(server)
            try:
                server.send(command, 0.0)
            except LocalProtocolError:
                assert snapshot(server) == state
    assert all(json.loads(message) for message in server.messages_to_send())
