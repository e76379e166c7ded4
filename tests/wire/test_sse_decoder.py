"""Event streams: the framings that servers use, the rules of the standard, and any way to cut the bytes."""

from __future__ import annotations

import re
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallest_proto.errors import RemoteProtocolError
from smallest_proto.limits import Limits
from smallest_proto.testing import Cut, bytewise, cut_at, random_cuts, whole
from smallest_proto.wire.sse import EventStreamDecoder, ServerSentEvent, encode_event

AUDIO = ['{"audio":"AAABAAIAAwAEAAUABgAHAA==","done":false,"status":"206"}', '{"audio":"//8AAP//AAD//wAA"}']
DONE = '{"status":"200","done":true}'

# the framings that were observed or documented, with what they mean
FRAMINGS: dict[str, tuple[str, list[tuple[str | None, str]]]] = {
    "current": (
        f"event: audio\ndata: {AUDIO[0]}\n\nevent: audio\ndata: {AUDIO[1]}\n\ndata: {DONE}\n\n",
        [("audio", AUDIO[0]), ("audio", AUDIO[1]), (None, DONE)],
    ),
    "older, with a comment": (
        f'data: {AUDIO[1]}\n\n: comment\ndata: {{"done":true}}\n',
        [(None, AUDIO[1]), (None, '{"done":true}')],
    ),
    "like the WebSocket's": (
        'data: {"status":"chunk","data":{"audio":"AAA="}}\n\ndata: {"status":"complete"}\n\n',
        [(None, '{"status":"chunk","data":{"audio":"AAA="}}'), (None, '{"status":"complete"}')],
    ),
    "an error": (
        'event: error\ndata: {"error":{"message":"ünï","code":"X"}}\n\n',
        [("error", '{"error":{"message":"ünï","code":"X"}}')],
    ),
    "no space, no last line end": (f"data:{AUDIO[0]}\n\ndata:{DONE}", [(None, AUDIO[0]), (None, DONE)]),
    "ids and retries": (f"id: 7\nretry: 10\nevent:audio\ndata: {DONE}\n\n", [("audio", DONE)]),
    "several data lines": ('data: {"done":\ndata:  true\ndata:}\n\n', [(None, '{"done":\n true\n}')]),
    "a mark in front": ("\ufeffdata: a\n\n\ufeffdata: b\n\n", [(None, "a")]),
}

cuts = st.one_of(
    st.just(bytewise),
    st.builds(random_cuts, st.integers().map(Random), st.integers(1, 30)),
    st.integers(0, 100).map(cut_at),
)


def decode(
    data: bytes, cut: Cut = whole, limit: int = 1 << 20
) -> tuple[list[ServerSentEvent], RemoteProtocolError | None]:
    decoder = EventStreamDecoder(limits=Limits(max_message_bytes=limit))
    found = [event for piece in cut(data) for event in decoder.feed(piece)]
    return found + decoder.end(), decoder.error


def meant(expected: list[tuple[str | None, str]]) -> list[ServerSentEvent]:
    return [ServerSentEvent(data=data, event=name) for name, data in expected]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=["LF", "CRLF", "CR"])
@pytest.mark.parametrize(("stream", "expected"), FRAMINGS.values(), ids=list(FRAMINGS))
def test_framings_cut_at_every_byte(stream: str, expected: list[tuple[str | None, str]], end: str) -> None:
    data = stream.replace("\n", end).encode()
    assert decode(data) == (meant(expected), None)
    assert decode(data, bytewise) == (meant(expected), None)
    for position in range(len(data)):
        assert decode(data, cut_at(position)) == (meant(expected), None)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", []),
        (b"\n\n\r\n\r\r", []),
        (b"data: a\r\rdata: b\n\r\ndata: c\r\n\rdata: d\n\n", ["a", "b", "c", "d"]),
        (b"data\n\n", [""]),
        (b"data:\ndata\n\n", ["\n"]),
        (b"data:  a \n\n", [" a "]),
        (b"event: a\n\ndata: b\n\n", ["b"]),
        (b"Data: a\ndat: b\ndatax: c\n data: d\n\n", []),
        (b": data: a\n:\n\n", []),
        (b"data: a:b: c\n\n", ["a:b: c"]),
        (b"data: \xff\xc3\n\n", ["\ufffd\ufffd"]),
        (b"data: a\x00b\n\n", ["a\x00b"]),
        (b"data: a\x0bb\x0cc\xc2\x85d\xe2\x80\xa8e\n\n", ["a\x0bb\x0cc\x85d\u2028e"]),
        (b"data: pending", ["pending"]),
        (b"data: pending\n", ["pending"]),
        (b"data: pending\r", ["pending"]),
        (b"data: a\n\nevent: lone", ["a"]),
        (b"\xef\xbb", []),
        (b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\n", []),
    ],
)
def test_rules(data: bytes, expected: list[str]) -> None:
    found, error = decode(data)
    assert ([event.data for event in found], error) == (expected, None)
    assert decode(data, bytewise) == (found, None)


def test_a_name_lasts_for_one_event() -> None:
    found, _ = decode(
        b"event: a\nevent: b\ndata: 1\n\ndata: 2\n\nevent: \ndata: 3\n\nevent: \xff\ndata: 4\n\n"
    )
    assert [event.event for event in found] == ["b", None, None, "\ufffd"]


def test_an_event_comes_as_soon_as_its_blank_line() -> None:
    decoder = EventStreamDecoder()
    assert decoder.feed(b"data: a\r\n") == []
    assert decoder.feed(b"\r") == [ServerSentEvent(data="a")]
    assert decoder.feed(b"\ndata: b") == []
    assert decoder.end() == [ServerSentEvent(data="b")]
    assert decoder.end() == []


@pytest.mark.parametrize("cut", [whole, bytewise])
@pytest.mark.parametrize("line", [b"data:%s", b":%s", b"x: %s", b"event%s"])
def test_a_line_is_bounded_to_the_byte(line: bytes, cut: Cut) -> None:
    for size, good in ((50, True), (51, False)):
        padded = line % (b"x" * (size - len(line) + 2))
        found, error = decode(b"data: first\n\n" + padded + b"\n\ndata: last\n\n", cut, limit=50)
        assert (error is None) is good
        assert found[0].data == "first"
        assert (found[-1].data == "last") is good


@pytest.mark.parametrize("cut", [whole, bytewise])
def test_an_event_is_bounded_to_the_byte(cut: Cut) -> None:
    for size, good in ((48, True), (49, False)):
        data = (
            b"data: first\n\ndata:x\ndata:"
            + b"y" * 20
            + b"\ndata:"
            + b"z" * (size - 20)
            + b"\n\ndata: last\n\n"
        )
        found, error = decode(data, cut, limit=51)
        assert (error is None) is good
        assert len(found) == (3 if good else 1)


def test_nothing_comes_after_an_error() -> None:
    decoder = EventStreamDecoder(limits=Limits(max_message_bytes=10))
    assert decoder.feed(b"data: a\n\ndata: 0123456789\ndata: b\n\n") == [ServerSentEvent(data="a")]
    error = decoder.error
    assert isinstance(error, RemoteProtocolError)
    assert "max_message_bytes" in str(error)
    assert decoder.feed(b"\n\ndata: c\n\n") == []
    assert decoder.end() == []
    assert decoder.error is error


fields = st.sampled_from(
    ["data: ", "data:", "data", "event: a", "id: 1", ":", "x: ", "\ufeff", "ü\u2028", "", "é"]
)
ends = st.sampled_from(["\n", "\r\n", "\r", "\n\n", "\r\n\r\n", "\r\r"])
streams = st.one_of(
    st.lists(st.tuples(fields, st.text(max_size=5), ends)).map(
        lambda lines: "".join(map("".join, lines)).encode("utf-8", "replace")
    ),
    st.binary(max_size=60),
    st.lists(st.sampled_from([b"data: a", b"\r", b"\n", b"\xc3", b"\xbc", b"\xef\xbb\xbf"])).map(b"".join),
)


@given(streams, cuts, st.sampled_from([12, 1 << 20]))
def test_the_cuts_do_not_matter_and_nothing_raises(data: bytes, cut: Cut, limit: int) -> None:
    assert decode(data, cut, limit) == decode(data, whole, limit)


texts = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=20)
data_texts = st.lists(st.tuples(texts, st.sampled_from(["\n", "\r\n", "\r", ""]))).map(
    lambda parts: "".join(map("".join, parts))
)


@given(st.lists(st.tuples(data_texts, st.one_of(st.none(), texts.filter(bool)))), cuts)
def test_what_is_encoded_is_decoded(sent: list[tuple[str, str | None]], cut: Cut) -> None:
    stream = b"".join(encode_event(data, event) for data, event in sent)
    expected = [ServerSentEvent(data=re.sub("\r\n|\r", "\n", data), event=event) for data, event in sent]
    assert decode(stream, cut) == (expected, None)


def test_encoding() -> None:
    assert encode_event(DONE) == b"data: " + DONE.encode() + b"\n\n"
    assert encode_event("a\nb", "audio") == b"event: audio\ndata: a\ndata: b\n\n"


@pytest.mark.parametrize("name", ["a\nb", "a\r"])
def test_a_name_with_a_line_break(name: str) -> None:
    with pytest.raises(ValueError, match=r"^event=.*without line breaks$"):
        encode_event("a", name)


def test_text_that_utf8_cannot_carry() -> None:
    with pytest.raises(ValueError, match="surrogates not allowed"):
        encode_event("\ud800")
