"""The tree of exceptions, events and JSON that anyone may have written."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse_strategies import JSON
from smallest_proto.errors import (
    ConnectionLost,
    DeadlineExceeded,
    HandshakeRejected,
    LocalProtocolError,
    ProtocolError,
    RemoteProtocolError,
    ServerError,
)
from smallest_proto.events import NEED_DATA, ConnectionClosed, UnknownMessage
from smallest_proto.json_text import load_object

COMMON = {"code": "C", "status": 429, "request_id": "r", "retry_after": 2.0, "retryable": True}
SERVER = {**COMMON, "message": "m", "details": ("d",)}
REJECTED = {**SERVER, "headers": (("a", "b"),), "body": b"x"}
KINDS: dict[type[ProtocolError], dict[str, Any]] = {
    **dict.fromkeys(
        (ProtocolError, LocalProtocolError, RemoteProtocolError, ConnectionLost, DeadlineExceeded), COMMON
    ),
    ServerError: SERVER,
    HandshakeRejected: REJECTED,
}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_errors_keep_their_fields_through_copies(kind: type[ProtocolError]) -> None:
    error = kind("what happened", **KINDS[kind])
    assert issubclass(kind, ProtocolError)
    assert str(error) == "what happened"
    assert {name: getattr(error, name) for name in KINDS[kind]} == KINDS[kind]
    for same in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert same == error
        assert hash(same) == hash(error)
        assert type(same) is kind
        assert str(same) == "what happened"
    for name in KINDS[kind]:
        assert kind("what happened", **{**KINDS[kind], name: "other"}) != error
    assert kind("else", **KINDS[kind]) != error
    assert error != "what happened"
    assert error != Exception("what happened")


def test_what_is_worth_a_second_try_by_default() -> None:
    retryable = {kind for kind in KINDS if kind("x").retryable}
    assert retryable == {RemoteProtocolError, ConnectionLost, DeadlineExceeded}
    assert not ConnectionLost("x", retryable=False).retryable


def test_a_server_error_does_not_say_what_the_server_said() -> None:
    error = HandshakeRejected("refused", message="your card 4111", details=("4111",), body=b"4111")
    for shown in (str(error), repr(error), repr(ConnectionClosed(code=1006, expected=False, error=error))):
        assert "4111" not in shown


def test_an_unknown_message_shows_no_content() -> None:
    for data, size in (("my number is 5", "14 characters"), (b"\x00secret", "7 bytes")):
        shown = f"UnknownMessage(reason='not JSON', data of {size})"
        assert repr(UnknownMessage(reason="not JSON", data=data)) == shown


def test_need_data() -> None:
    assert repr(NEED_DATA) == "NEED_DATA"
    assert pickle.loads(pickle.dumps(NEED_DATA)) is NEED_DATA
    assert copy.copy(NEED_DATA) is NEED_DATA


@given(JSON)
def test_objects_come_back(value: object) -> None:
    text = json.dumps(value)
    loaded = load_object(text)
    if isinstance(value, dict) and isinstance(loaded, dict):
        assert loaded == value
    else:
        assert isinstance(loaded, UnknownMessage)
        assert loaded.data == text[:2000]


@given(st.text(st.characters()) | st.binary())
def test_anything_is_an_object_or_unknown(data: str | bytes) -> None:
    loaded = load_object(data)
    assert isinstance(loaded, dict | UnknownMessage)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("[" * 100_000, "JSON nested too deep"),
        ("{}}", "not JSON"),
        ('{"a": 1e999}', "not JSON"),
        ('{"a": NaN}', "not JSON"),
        ('{"a": "\ud800"}', "not JSON"),
        (b'{"a": "\xff"}', "not JSON"),
        ("7", "JSON, but not an object"),
    ],
    ids=range(7),
)
def test_reasons(data: str | bytes, reason: str) -> None:
    assert load_object(data) == UnknownMessage(reason=reason, data=data[:2000])
    assert load_object('{"a": ' + "9" * 400 + "}") == {"a": int("9" * 400)}
