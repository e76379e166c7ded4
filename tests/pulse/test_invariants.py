"""What holds whatever the peer sends, whatever the user asks for, and whenever the clock is looked at."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pulse_strategies import ERRORS, HOSTILE_MESSAGES, LAST_MESSAGES, TRANSCRIPTS, VADS, VALID_MESSAGES
from smallest_proto.errors import LocalProtocolError
from smallest_proto.events import NEED_DATA, ConnectionClosed, Event, Role
from smallest_proto.limits import Limits
from smallest_proto.pulse import (
    Audio,
    CloseStream,
    Finalize,
    FinalTranscript,
    Flush,
    InterimTranscript,
    KeepAlive,
    PulseConnection,
    PulseOptions,
    SpeechEnded,
    SpeechStarted,
    StreamEnded,
    TranscriptMessage,
    Usage,
    VadMessage,
)
from snapshots import snapshot

Step = tuple[str, Any]
COMMANDS = st.one_of(
    st.integers(0, 5000).map(lambda size: Audio(bytes(size))),
    st.sampled_from([Finalize(), Flush(), KeepAlive()]),
)
REFUSED = st.sampled_from([Audio(b""), Audio("text"), TranscriptMessage(), None, "audio"])  # type: ignore[arg-type]  # on purpose
CLOSES = st.sampled_from([1000, 1001, 1005, 1006, 1008, 1011])
STEPS: st.SearchStrategy[Step] = st.one_of(
    st.tuples(st.just("receive"), VALID_MESSAGES),
    st.tuples(st.just("receive"), VALID_MESSAGES),
    st.tuples(st.just("receive"), HOSTILE_MESSAGES),
    st.tuples(st.just("receive"), LAST_MESSAGES | ERRORS),
    st.tuples(st.just("send"), COMMANDS),
    st.tuples(st.just("send"), COMMANDS | REFUSED | st.just(CloseStream())),
    st.tuples(st.just("wait"), st.sampled_from([0.0, 0.05, 1.0, 4.0, 11.0])),
    st.tuples(st.just("closed"), CLOSES),
    st.tuples(st.just("open"), st.none()),
    st.tuples(st.just("close"), st.none()),
)
OPTIONS = st.builds(
    PulseOptions,
    compat=st.sampled_from(["default", "seed"]),
    vad_events=st.none() | st.booleans(),
    diarize=st.booleans(),
    endpoint=st.sampled_from(["get_text", "live"]),
    include_raw=st.booleans(),
    packet_ms=st.sampled_from([20, 50, 200]),
)


class Session:
    """Runs steps and checks after each what must hold after each."""

    def __init__(self, options: PulseOptions, limits: Limits = Limits()) -> None:
        self.connection = PulseConnection(options, limits=limits)
        self.options = options
        self.now = 0.0
        self.events: list[Event] = []
        self.sent: list[str | bytes] = []
        self.audio_in = b""

    def do(self, step: Step) -> None:
        kind, value = step
        before = dict(self.connection.timers._at)
        if kind == "send":
            self._send(value)
        elif kind == "receive":
            self.connection.receive_message(value, self.now)
        elif kind == "wait":
            self.now += value
            self.connection.handle_timeout(self.now)
            deadline = self.connection.next_deadline()
            assert deadline is None or deadline > self.now
        elif kind == "closed":
            self.connection.receive_close(value, "why", self.now)
        elif kind == "open":
            self.connection.receive_open(self.now)
        else:
            self.connection.close(self.now)
        for name, at in self.connection.timers._at.items():
            assert at >= before.get(name, 0.0), f"the {name} went back"
        self.sent += self.connection.messages_to_send()
        while (event := self.connection.next_event()) is not NEED_DATA:
            self.events.append(event)

    def _send(self, command: Any) -> None:
        before = snapshot(self.connection)
        try:
            self.connection.send(command, self.now)
        except LocalProtocolError:
            assert snapshot(self.connection) == before
        else:
            if isinstance(command, Audio):
                self.audio_in += command.pcm


def turns(events: Sequence[Event]) -> list[type]:
    return [type(e) for e in events if isinstance(e, SpeechStarted | SpeechEnded)]


@given(OPTIONS, st.lists(STEPS, max_size=30), st.booleans())
def test_every_session_keeps_the_rules(options: PulseOptions, steps: list[Step], orderly: bool) -> None:
    session = Session(options)
    for step in steps:
        session.do(step)
        over = [e for e in session.events if isinstance(e, ConnectionClosed)]
        assert session.connection.closed == (over[0] if over else None)
    if orderly:
        session.do(("send", CloseStream()))
    session.do(("closed", 1006))
    session.do(("closed", 1000))
    events = session.events

    assert [type(e) for e in events].count(ConnectionClosed) == 1
    closed = events[-1]
    assert isinstance(closed, ConnectionClosed)
    assert closed.expected is (closed.error is None)
    assert session.connection.next_deadline() is None
    assert [type(e) for e in events].count(StreamEnded) <= 1
    if any(isinstance(e, StreamEnded) for e in events):
        ended = next(i for i, e in enumerate(events) if isinstance(e, StreamEnded))
        assert [type(e) for e in events[ended + 1 :]] == [ConnectionClosed]
    if options.compat == "default":
        edges = turns(events)
        assert len(edges) % 2 == 0
        assert edges == [SpeechStarted, SpeechEnded] * (len(edges) // 2)

    audio = [m for m in session.sent if isinstance(m, bytes)]
    assert session.audio_in.startswith(b"".join(audio))
    assert all(0 < len(m) <= options.audio_format.packet_bytes(options.packet_ms) for m in audio)
    if '{"type":"close_stream"}' in session.sent:
        assert session.sent[-1] == '{"type":"close_stream"}'
        assert b"".join(audio) == session.audio_in
    reported = sum(e.audio_seconds for e in events if isinstance(e, Usage))
    if options.compat == "default" or '{"type":"close_stream"}' in session.sent:
        assert reported == pytest.approx(options.audio_format.seconds(sum(map(len, audio))))


@given(OPTIONS, st.lists(HOSTILE_MESSAGES, max_size=10))
def test_nonsense_does_not_stop_what_comes_after(options: PulseOptions, nonsense: list[str | bytes]) -> None:
    session = Session(options)
    for message in nonsense:
        session.do(("receive", message))
    if session.connection.close_requested:
        return  # it happened to be an error or a last message
    session.events.clear()
    session.do(("receive", '{"transcript": "still here", "is_final": true}'))
    finals = [e for e in session.events if isinstance(e, FinalTranscript)]
    assert [e.text for e in finals] == ["still here"]


def server_step(connection: PulseConnection, step: Step) -> None:
    kind, value = step
    if kind == "receive":
        connection.receive_message(value, 0.0)
    elif kind == "send":
        before = snapshot(connection)
        try:
            connection.send(value, 0.0)
        except LocalProtocolError:
            assert snapshot(connection) == before
    elif kind == "closed":
        connection.receive_close(value, "", 0.0)
    elif kind == "open":
        connection.receive_open(0.0)
    else:
        connection.close(0.0)
        connection.handle_timeout(0.0)


CONTROLS = st.sampled_from(["finalize", "keepalive", "close_stream", "end"]).map(
    lambda t: json.dumps({"type": t})
)
SERVER_COMMANDS = st.sampled_from(
    [
        TranscriptMessage(transcript="hi", session_id="s"),
        TranscriptMessage(is_last=True),
        TranscriptMessage(transcript="\ud800", session_id="t"),
        TranscriptMessage(transcript=object(), session_id="u"),  # type: ignore[arg-type]  # on purpose
        VadMessage(type="speech_started", timestamp=1.0),
        VadMessage(type="speech_paused", session_id="v"),
        Finalize(),
    ]
)
SERVER_STEPS: st.SearchStrategy[Step] = st.one_of(
    st.tuples(st.just("receive"), HOSTILE_MESSAGES | CONTROLS | CONTROLS),
    st.tuples(st.just("send"), SERVER_COMMANDS),
    st.tuples(st.just("closed"), CLOSES),
    st.tuples(st.sampled_from(["open", "close"]), st.none()),
)


@given(st.sampled_from(["get_text", "transcribe"]), st.lists(SERVER_STEPS, max_size=20))
def test_every_server_session_keeps_the_rules(endpoint: Any, steps: list[Step]) -> None:
    connection = PulseConnection(PulseOptions(endpoint=endpoint), Role.SERVER)
    for step in [*steps, ("closed", 1000), ("closed", 1000)]:
        server_step(connection, step)
    events = []
    while (event := connection.next_event()) is not NEED_DATA:
        events.append(event)
    assert [type(e) for e in events].count(ConnectionClosed) == 1
    assert isinstance(events[-1], ConnectionClosed)
    assert events[-1].expected is (events[-1].error is None)
    assert connection.next_deadline() is None
    assert connection.finalizes_outstanding == 0


# --- speech tables against plain programs ---------------------------------------------------------------


def seed_program(messages: Sequence[dict[str, Any]], vad_events: bool) -> list[tuple[str, str]]:
    """[seed], message by message."""
    out: list[tuple[str, str]] = []
    speaking = False
    for data in messages:
        text = data.get("transcript") or ""
        if not text:
            continue
        if not speaking:
            speaking = True
            out.append(("START", ""))
        if data.get("is_final"):
            out += [("FINAL", text), ("END", "")]
            speaking = False
        else:
            out.append(("INTERIM", text))
    return out


def default_program(messages: Sequence[dict[str, Any]], vad_events: bool) -> list[tuple[str, str]]:
    """[lk 1.8.9], message by message, with the three repairs."""
    out: list[tuple[str, str]] = []
    speaking = vad_seen = False
    finals = 0
    ended: float | None = None
    for data in messages:
        if data["type"] != "transcription":
            vad_seen = True
            start = data["type"] == "speech_started"
            ended = None if start else data["timestamp"]
            if start is not speaking:
                out.append(("START" if start else "END", ""))
            speaking = start
            continue
        text = (data.get("transcript") or data.get("transcription") or "").strip()
        wordful = any(c.isalnum() or c == "_" for c in text)
        final = bool(data.get("is_final"))
        expected = vad_events and (vad_seen or finals == 0)  # R3
        finals += final and wordful
        asked = data.get("from_finalize") or data.get("speech_final")
        closing = final and (asked or not expected)
        words = data.get("words") or []
        late = final and not closing and ended is not None and words and words[-1]["end"] <= ended + 0.5  # R1
        if wordful:
            if not speaking and not late:
                speaking = True
                out.append(("START", ""))
            out.append(("FINAL" if final else "INTERIM", text))
        if closing and speaking:
            speaking = False
            out.append(("END", ""))
    return out + ([("END", "")] if speaking else [])  # R2


def speech(events: Sequence[Event]) -> list[tuple[str, str]]:
    names = {
        SpeechStarted: "START",
        SpeechEnded: "END",
        FinalTranscript: "FINAL",
        InterimTranscript: "INTERIM",
    }
    return [(names[type(e)], getattr(e, "text", "")) for e in events if type(e) in names]


@pytest.mark.parametrize(("compat", "program"), [("seed", seed_program), ("default", default_program)])
@given(messages=st.lists(TRANSCRIPTS | VADS, max_size=12), vad_events=st.booleans())
@example(messages=[{"type": "transcription", "transcript": "a", "is_final": True}] * 3, vad_events=True)
def test_the_tables_do_what_the_clients_do(
    compat: Any,
    program: Callable[[Sequence[dict[str, Any]], bool], list[tuple[str, str]]],
    messages: list[dict[str, Any]],
    vad_events: bool,
) -> None:
    session = Session(PulseOptions(compat=compat, vad_events=vad_events))
    for message in messages:
        session.do(("receive", json.dumps(message)))
    session.do(("closed", 1000))
    assert speech(session.events) == program(messages, vad_events)
