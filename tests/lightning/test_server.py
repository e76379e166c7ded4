"""The server end: what it makes of clients, and what it writes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from smallest_proto.errors import ConnectionLost, DeadlineExceeded, LocalProtocolError
from smallest_proto.events import NEED_DATA, ConnectionClosed, Event, Role, UnknownMessage
from smallest_proto.lightning import (
    CancelReceived,
    ContextClosed,
    FlushReceived,
    KeepAliveReceived,
    LightningConnection,
    LightningOptions,
    SendAudio,
    SendComplete,
    SendError,
    SendText,
    SendWord,
    SynthesisRequested,
    SynthesisSetup,
    TextReceived,
)
from smallest_proto.lightning.server_states import SERVER, ServerInput, ServerState
from smallest_proto.machine import Machine

V = {"voice_id": "meher"}
FRAGMENT = {**V, "text": "Hi. ", "context_id": "abcdefgh", "continue": True}
END = {**V, "text": "", "context_id": "abcdefgh", "continue": False}
CANCEL = {**V, "context_id": "abcdefgh", "cancel_request": True}


class Server:
    def __init__(self, **options: Any) -> None:
        self.connection = LightningConnection(LightningOptions(**options), Role.SERVER, session_id="ws_7")
        self.connection.receive_open(0.0)

    def hear(self, *messages: object, at: float = 0.0) -> list[Event]:
        for message in messages:
            self.connection.receive_message(json.dumps(message), at)
        return self.events()

    def events(self) -> list[Event]:
        events: list[Event] = []
        while (event := self.connection.next_event()) is not NEED_DATA:
            events.append(event)
        return events

    def say(self, *commands: Any) -> list[Any]:
        for command in commands:
            self.connection.send(command, 0.0)
        return self.sent()

    def sent(self) -> list[Any]:
        return [json.loads(message) for message in self.connection.messages_to_send()]


def test_single_shot_with_echoed_ids() -> None:
    server = Server()
    ids = {"session_id": "call-77", "request_id": "turn-1"}
    (event,) = server.hear({**V, "text": "Good morning.", "sample_rate": 24000, **ids})
    assert event == SynthesisRequested(
        text="Good morning.",
        setup=SynthesisSetup(voice_id="meher", sample_rate=24000, session_id="call-77", request_id="turn-1"),
    )
    echo = {"external_session_id": "call-77", "external_request_id": "turn-1"}
    head = {"session_id": "ws_7", "request_id": "task_1", **echo}
    assert not server.connection.reusable
    assert server.say(SendAudio(b"\1\2"), SendWord("Good", 0, 0.5, 3), SendComplete()) == [
        {**head, "status": "chunk", "data": {"audio": "AQI="}},
        {**head, "status": "word_timestamp", "data": {"id": 3, "word": "Good", "start": 0, "end": 0.5}},
        {**head, "status": "complete"},
    ]
    assert server.connection.reusable
    server.hear({**V, "text": "Again."})
    assert server.say(SendComplete()) == [
        {"session_id": "ws_7", "request_id": "task_2", "status": "complete"}
    ]


def test_several_releases() -> None:
    server = Server()
    server.hear(FRAGMENT)
    first = server.say(SendAudio(b"ab"), SendComplete(), SendAudio(b"cd", "mine"))
    assert [m["request_id"] for m in first] == ["task_1", "task_1", "mine"]
    server.hear(END)
    later = server.say(SendComplete(last=False), SendAudio(b"cd"), SendComplete())
    assert [m["request_id"] for m in later] == ["task_2", "task_3", "task_3"]
    assert server.connection.context_id is None


@pytest.mark.parametrize(
    ("command", "body"),
    [
        (SendError("no", "X"), {"message": "no", "error_code": "X"}),
        (SendError("no", "X", shape="nested"), {"error": {"message": "no", "code": "X"}}),
        (SendError("no", shape="nested"), {"error": {"message": "no"}}),
        (SendError("no", shape="string"), {"error": "no"}),
    ],
)
def test_error_shapes(command: SendError, body: dict[str, Any]) -> None:
    server = Server()
    server.hear({**V, "text": "Hi."})
    head = {"session_id": "ws_7", "request_id": "task_1", "status": "error"}
    assert server.say(command) == [head | body]
    assert server.connection.reusable


@pytest.mark.parametrize(
    ("message", "events"),
    [
        ({**V, "text": "Hi.", "continue": False, "flush": False}, [SynthesisRequested]),
        ({**V, "text": " "}, [KeepAliveReceived]),
        ({**V, "text": "a", "continue": True}, [TextReceived]),
        ({**V, "text": "", "continue": True}, [TextReceived]),
        ({**V, "text": "a", "continue": True, "flush": True}, [TextReceived, FlushReceived]),
        ({**V, "text": "a", "flush": True}, [TextReceived, ContextClosed]),
        ({**V, "text": "a", "context_id": "x"}, [TextReceived, ContextClosed]),
        # nothing was said that could be ended, flushed or cancelled
        ({**V, "text": "", "continue": False, "flush": True}, [UnknownMessage]),
        ({**V, "text": "", "continue": True, "flush": True}, [UnknownMessage]),
        (END, [UnknownMessage]),
        (CANCEL, [UnknownMessage]),
    ],
)
def test_first_messages(message: dict[str, Any], events: list[type]) -> None:
    server = Server()
    assert [type(event) for event in server.hear(message)] == events
    assert server.sent() == []


def test_cancel_ends_the_synthesis() -> None:
    for before in ([FRAGMENT], [FRAGMENT, END]):
        server = Server()
        server.hear(*before)
        assert server.hear(CANCEL) == [CancelReceived(context_id="abcdefgh")]
        with pytest.raises(LocalProtocolError):
            server.say(SendAudio(b"ab"))
        assert server.connection.reusable


def test_one_synthesis_at_a_time() -> None:
    other = FRAGMENT | {"context_id": "somebodyelse"}
    speech = {**V, "text": "Hi."}
    cases: list[tuple[list[object], list[object]]] = [
        ([FRAGMENT], [other, speech]),
        ([FRAGMENT, END], [other, speech, FRAGMENT]),
        ([speech], [speech, FRAGMENT, {**V, "text": "a", "continue": True}]),
    ]
    for before, refused in cases:
        for message in refused:
            server = Server()
            server.hear(*before)
            (event,) = server.hear(message)
            assert isinstance(event, UnknownMessage)
            (error,) = server.sent()
            assert (error["status"], "another synthesis" in error["message"]) == ("error", True)
            assert not server.connection.reusable
            server.say(SendAudio(b"ab"))


def test_late_ends_are_shown_and_change_nothing() -> None:
    server = Server()
    events = server.hear(
        FRAGMENT, END, END, FRAGMENT | {"text": "", "flush": True}, {**V, "text": " "}, {**V, "text": " "}
    )
    kinds = [
        TextReceived,
        ContextClosed,
        UnknownMessage,
        UnknownMessage,
        KeepAliveReceived,
        KeepAliveReceived,
    ]
    assert [type(e) for e in events] == kinds


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ({"text": "Hi."}, "voice_id"),
        ({"text": "Hi.", "voice_id": ""}, "voice_id"),
        ({**V}, "text"),
        ({**V, "text": 5}, "text"),
        ({**V, "text": ""}, "text"),
        ({**V, "text": "Hi.", "sample_rate": 22050}, "sample_rate"),
        ({**V, "text": "Hi.", "sample_rate": "24000"}, "sample_rate"),
        ({**V, "text": "Hi.", "speed": 3}, "speed"),
        ({**V, "text": "Hi.", "speed": True}, "speed"),
        ({**V, "text": "Hi.", "context_id": 5}, "context_id"),
        ([], "object"),
        ("x", "object"),
    ],
)
def test_invalid_messages_are_answered_and_shown(message: object, reason: str) -> None:
    server = Server()
    (event,) = server.hear(message)
    assert isinstance(event, UnknownMessage)
    assert reason in event.reason
    (error,) = server.sent()
    assert error["status"] == "error"
    assert reason in error["message"]
    assert server.connection.reusable


def test_optional_fields_of_the_wrong_type_count_as_missing() -> None:
    wrong = {
        **{"model": 5, "language": None, "word_timestamps": "true", "math_notation": 1, "session_id": []},
        **{"complete_backoff_ms": "1", "max_buffer_flush_ms": 0.5, "max_buffer_delay_ms": True},
        **{"pronunciation_dicts": ["a", 5], "content_filter": {"enabled": True}, "custom": 1},
    }
    server = Server()
    (event,) = server.hear({**V, "text": "Hi.", **wrong})
    assert isinstance(event, SynthesisRequested)
    assert event.setup == SynthesisSetup(voice_id="meher")
    (event,) = Server().hear({**V, "text": "Hi.", "complete_backoff_ms": 5, "content_filter": True})
    assert isinstance(event, SynthesisRequested)
    assert event.setup == SynthesisSetup(voice_id="meher", complete_backoff_ms=5.0)


def test_idle_timeout() -> None:
    for options, seconds in (({}, 60), ({"idle_timeout": 5}, 5)):
        server = Server(**options)
        server.hear({**V, "text": " "}, at=3.0)
        assert server.connection.next_deadline() == 3.0 + seconds
        server.connection.handle_timeout(2.9 + seconds)
        assert server.sent() == []
        server.connection.handle_timeout(3.0 + seconds)
        assert server.sent() == [
            {
                "status": "error",
                "message": f"Connection timed out after {seconds} seconds of inactivity",
            }
        ]
        assert server.connection.close_requested == (1000, "")
        server.hear(FRAGMENT, at=4.0 + seconds)
        assert server.connection.next_deadline() is None
        server.connection.receive_close(1000, "", 5.0 + seconds)
        (closed,) = [e for e in server.events() if isinstance(e, ConnectionClosed)]
        assert closed.expected
        assert server.connection.closed == closed


def test_closes() -> None:
    lost, pong = ConnectionLost("gone"), DeadlineExceeded("no pong", code="pong")
    for before, code, given, expected in [
        ([], 1000, None, True),
        ([], 1006, None, True),
        ([], 1006, lost, True),
        ([], 1006, pong, False),
        ([FRAGMENT], 1000, None, False),
        ([FRAGMENT, END], 1006, lost, False),
        ([FRAGMENT, END], 1006, pong, False),
    ]:
        server = Server()
        server.hear(*before)
        server.connection.receive_close(code, "why", 1.0, error=given)
        (closed,) = server.events()
        assert isinstance(closed, ConnectionClosed)
        assert (closed.code, closed.reason, closed.expected) == (code, "why", expected)
        assert (closed.error is None) == expected
        assert given is None or expected or closed.error is given
        assert server.connection.next_deadline() is None
        assert server.hear(FRAGMENT) == []
        with pytest.raises(LocalProtocolError):
            server.say(SendComplete())


def test_our_close() -> None:
    for before in ([], [FRAGMENT], [FRAGMENT, END]):
        server = Server()
        server.hear(*before)
        server.connection.close(0.0)
        server.connection.close(0.0)
        assert server.connection.close_requested == (1000, "")
        assert server.hear(FRAGMENT) == []
        for code in (1000, 1006):
            server.connection.receive_close(code, "", 1.0)
        (closed,) = server.events()
        assert isinstance(closed, ConnectionClosed)
        assert closed.expected


@pytest.mark.parametrize(
    "command",
    [
        *(SendAudio(pcm) for pcm in (b"", b"a", "ab", None)),  # type: ignore[arg-type]  # misuse on purpose
        SendWord("a", float("nan"), 1),
        SendWord("a", 1, float("inf")),
        SendAudio(bytearray(b"a")),  # type: ignore[arg-type]
        SendWord("a", "1", 2),  # type: ignore[arg-type]
        SendWord(5, 1, 2),  # type: ignore[arg-type]
        SendWord("\ud800", 1, 2),
        SendError("no", shape="round"),  # type: ignore[arg-type]
        SendError(5),  # type: ignore[arg-type]
        SendComplete(request_id="\ud800"),
        SendText("Hi."),
        None,
    ],
)
def test_malformed_commands(command: Any) -> None:
    server = Server()
    server.hear({**V, "text": "Hi."})
    with pytest.raises(LocalProtocolError, match="expected"):
        server.say(command)
    assert server.sent() == []


def test_keep_alives_may_be_answered() -> None:
    server = Server()
    server.hear({**V, "text": " "})
    answers = server.say(SendComplete(), SendComplete(last=False), SendError("x"))
    assert [m["status"] for m in answers] == ["complete", "complete", "error"]
    with pytest.raises(LocalProtocolError):
        server.say(SendAudio(b"ab"))
    with pytest.raises(LocalProtocolError):
        server.say(SendWord("a", 0, 1))


def test_only_impossible_rows_are_never_visited() -> None:
    """What no session can reach: a message of another context where there is none, clocks that are off."""
    live = {ServerState.IDLE, ServerState.RECEIVING, ServerState.ANSWERING}
    idle = (ServerState.IDLE, ServerInput.FOREIGN)
    assert not SERVER[idle].actions
    assert all(
        row.actions for (state, given), row in SERVER.items() if state in live and (state, given) != idle
    )
    assert Machine(SERVER, ServerState.IDLE).check(ServerInput.END).state is ServerState.IDLE
