"""What the official plugin gets wrong, and ours must not."""

import asyncio
from typing import Any

import pytest
from livekit.agents import APIConnectionError, APIError, APITimeoutError
from livekit.agents.types import APIConnectOptions

from livekit.plugins import smallest
from livekit_stt import (
    END,
    FINAL,
    ONCE,
    TWICE,
    Heard,
    data_of,
    frame,
    keep_pushing,
    message,
    plain_answer,
    push,
    rest,
    saying,
    served,
    shown,
    talk,
    upto,
    usage,
    word,
)
from smallest_proto.pulse import ResumePolicy
from sockets import Peer, run, until


async def into(events: list[Any], stream: smallest.SpeechStream) -> None:
    async for event in stream:
        events.append(event)


@pytest.mark.parametrize("last", [message("", is_last=True), message("", is_final=False, is_last=True)])
def test_no_turn_stays_open_at_the_end(last: object) -> None:
    async def answer(peer: Peer, said: str) -> None:
        if "close_stream" in said:
            peer.text(message("so", is_final=False))
            peer.text(last)
            peer.close_frame(1000)

    assert shown(run(talk(answer))) == ["START", "INTERIM so", "END"]


@pytest.mark.parametrize("resume", [ResumePolicy(max_attempts=1), False])
def test_no_turn_stays_open_when_the_connection_drops(resume: bool | ResumePolicy) -> None:
    async def drop(peer: Peer, said: str) -> None:
        peer.text(message("so", is_final=False))
        peer.reset()

    events: list[Any] = []

    async def main() -> None:
        async with (
            served(drop) as url,
            smallest.STT(api_key="k", base_url=url, resume=resume) as recogniser,
            recogniser.stream(conn_options=ONCE) as stream,
        ):
            push(stream, 0.1)
            with pytest.raises(APIError):
                await into(events, stream)

    run(main())
    more = ["INTERIM so"] if resume else []  # said again on the second connection, in the same turn
    assert shown(events) == ["START", "INTERIM so", *more, "END"]


def test_a_late_final_opens_no_ghost_turn() -> None:
    say = saying(
        {"type": "speech_started", "session_id": "a", "timestamp": 0.2},
        message("call me", is_final=False),
        {"type": "speech_ended", "session_id": "a", "timestamp": 1.05},
        message("Call me back.", words=[word("Call", 0.25, 1.0)]),
    )
    assert shown(run(talk(say, endpoint="live", vad_events=True))) == [
        *("START", "INTERIM call me", "END"),
        "FINAL Call me back.",
    ]


@pytest.mark.parametrize(
    "odd",
    [
        *("[]", '"text"', "7", "null", "true", "{", ""),
        message("x", words="word"),
        message("x", words=["a", "b"]),
        message("x", words=[{"word": "x", "start": None, "end": "1", "confidence": "high"}]),
        message("x", words={"word": "x"}),
        {"transcript": 7, "is_final": True},
        {"transcript": ["x"], "is_final": True},
    ],
)
@pytest.mark.parametrize("endpoint", ["get_text", "live"])
def test_nonsense_does_not_end_a_stream(odd: object, endpoint: str) -> None:
    events = run(talk(saying(odd, message("sound")), endpoint=endpoint))
    assert "FINAL sound" in shown(events)


@pytest.mark.parametrize("resume", [True, False])
def test_changed_options_first_finalise_and_times_go_on(resume: bool) -> None:
    heard = Heard()

    async def old(peer: Peer, said: str) -> None:
        if peer_asked(said):
            peer.text(message("please switch", from_finalize=True, words=[word("please", 0.1, 0.3)]))
        await plain_answer(peer, said if "finalize" not in said else "")

    def peer_asked(said: str) -> bool:
        return ("close_stream" if resume else "finalize") in said

    new = saying(message("now", words=[word("now", 0.1, 0.4)]))

    async def main() -> None:
        async with (
            served(old, new, heard=heard) as url,
            smallest.STT(api_key="k", base_url=url, resume=resume) as recogniser,
            recogniser.stream(conn_options=ONCE) as stream,
        ):
            push(stream, 0.52)
            await until(lambda: heard.packets and len(heard.packets[0]) == 10)
            recogniser.update_options(language="hi")
            events = await upto(stream, FINAL)
            push(stream, 0.1)
            stream.end_input()
            events += await rest(stream)
        assert shown(events) == ["START", "FINAL please switch", "END", "START", "FINAL now", "END"]
        asked = ["close_stream"] if resume else ["finalize", "close_stream"]
        assert heard.texts == [asked, ["close_stream"]]
        assert "language=hi" in heard.target(1)
        assert sum(map(sum, heard.packets)) == 19840  # the 20 ms that make no packet were not forgotten
        # without `resume` the 20 ms that make no packet went to the old connection, as it ended
        assert data_of(events[3:]).start_time == pytest.approx(0.6 if resume else 0.62, abs=0.01)
        assert data_of(events[3:]).language == "hi"
        assert usage(events) == pytest.approx(0.62)

    run(main())


def test_options_change_although_the_old_connection_says_nothing() -> None:
    heard = Heard()

    async def mute(peer: Peer, said: str) -> None:
        pass

    async def main() -> None:
        async with (
            served(mute, saying(message("now")), heard=heard) as url,
            smallest.STT(api_key="k", base_url=url) as recogniser,
            recogniser.stream(conn_options=ONCE) as stream,
        ):
            push(stream, 0.1)
            await until(lambda: heard.packets and len(heard.packets[0]) == 2)
            recogniser.update_options(language="hi")
            await until(lambda: heard.connections == 2)
            push(stream, 0.1)
            await upto(stream, FINAL)

    run(main())


@pytest.mark.parametrize("change", [{}, {"language": "en"}, {"model": "pulse", "eou_timeout_ms": 0}])
def test_a_change_of_nothing_changes_nothing(change: dict[str, Any]) -> None:
    heard = Heard()

    async def main() -> None:
        async with (
            served(heard=heard) as url,
            smallest.STT(api_key="k", base_url=url) as recogniser,
            recogniser.stream(conn_options=ONCE) as stream,
        ):
            push(stream, 0.1)
            await until(lambda: heard.packets and len(heard.packets[0]) == 2)
            recogniser.update_options(**change)
            stream.update_options(**change)
            push(stream, 0.1)
            await until(lambda: sum(map(len, heard.packets)) == 4)
            stream.end_input()
            await rest(stream)
        assert heard.connections == 1
        assert heard.packets == [[1600] * 4]

    run(main())


def test_a_refused_change_changes_nothing() -> None:
    recogniser = smallest.STT(api_key="k")
    for change in ({"sample_rate": 11025}, {"encoding": "opus"}, {"eou_timeout_ms": 5}, {"language": ""}):
        with pytest.raises(ValueError, match=next(iter(change))):
            recogniser.update_options(model="pulse-2", **change)
    assert recogniser.model == "pulse"


def test_a_new_sample_rate_is_what_the_server_gets() -> None:
    heard = Heard()

    async def main() -> None:
        async with (
            served(heard=heard) as url,
            smallest.STT(api_key="k", base_url=url) as recogniser,
            recogniser.stream(conn_options=ONCE) as stream,
        ):
            push(stream, 0.2)
            await until(lambda: heard.packets and len(heard.packets[0]) == 4)
            recogniser.update_options(sample_rate=8000)
            await until(lambda: heard.connections == 2)
            push(stream, 1.0)
            stream.end_input()
            events = await rest(stream)
        assert "sample_rate=8000" in heard.target(1)
        assert set(heard.packets[1][:-1]) == {800}
        assert sum(heard.packets[1]) == pytest.approx(16000, rel=0.02)
        assert usage(events) == pytest.approx(1.2, rel=0.02)

    run(main())


@pytest.mark.parametrize("rate", [8000, 24000, 48000])
@pytest.mark.parametrize("channels", [1, 2])
def test_frames_of_any_rate_arrive_at_the_rate_asked_for(rate: int, channels: int) -> None:
    heard = Heard()

    async def main() -> None:
        async with (
            served(heard=heard) as url,
            smallest.STT(api_key="k", base_url=url) as recogniser,
            recogniser.stream(conn_options=ONCE) as stream,
        ):
            for _ in range(50):
                stream.push_frame(frame(0.02, rate, channels, value=7))
            stream.end_input()
            await rest(stream)
        assert sum(heard.packets[0]) == pytest.approx(32000, rel=0.02)

    run(main())


def test_a_drop_after_the_input_ended_is_no_clean_end() -> None:
    async def drop(peer: Peer, said: str) -> None:
        if "close_stream" in said:
            peer.reset()

    heard = Heard()
    with pytest.raises(APIConnectionError):
        run(talk(drop, plain_answer, heard=heard, conn_options=TWICE, resume=False))
    assert heard.connections == 1  # there is nothing to send again, so another try would only hide the loss


@pytest.mark.parametrize("code", [1001, 1008, 1011, 4000])
def test_a_failed_close_after_the_input_ended_is_no_clean_end(code: int) -> None:
    async def close(peer: Peer, said: str) -> None:
        if "close_stream" in said:
            peer.close_frame(code)

    with pytest.raises(APIError) as caught:
        run(talk(close, resume=False))
    assert f"status_code={code}" in str(caught.value)


def test_a_server_that_falls_silent_ends_in_a_timeout() -> None:
    async def mute(peer: Peer, said: str) -> None:
        pass

    with pytest.raises(APITimeoutError):
        run(talk(mute, conn_options=APIConnectOptions(max_retry=0, timeout=0.5)))


def test_a_server_that_ends_early_gets_the_rest_over_another_connection() -> None:
    heard = Heard()

    async def main() -> None:
        async with (
            served(saying(message("one", is_last=True)), saying(message("two")), heard=heard) as url,
            smallest.STT(api_key="k", base_url=url, resume=False) as recogniser,
            recogniser.stream(conn_options=ONCE) as stream,
        ):
            push(stream, 0.1)
            events = await upto(stream, END)
            push(stream, 0.1)
            stream.end_input()
            events += await rest(stream)
        assert shown(events) == ["START", "FINAL one", "END", "START", "FINAL two", "END"]

    run(main())


def test_no_frame_is_lost_where_one_connection_ends_and_the_next_begins() -> None:
    heard = Heard()
    frames = 60

    async def main() -> None:
        async with (
            served(saying(message("one", is_last=True)), plain_answer, heard=heard) as url,
            smallest.STT(api_key="k", base_url=url, resume=False) as recogniser,
            recogniser.stream(conn_options=ONCE) as stream,
        ):
            await until(lambda: heard.connections)
            for _ in range(frames):  # at every turn of the loop, so that some come just when it ends
                stream.push_frame(frame())
                await asyncio.sleep(0)
            stream.end_input()
            await rest(stream)
        assert heard.connections == 2
        assert sum(map(len, heard.packets)) == frames

    run(main())


@pytest.mark.parametrize(("resume", "connections"), [(ResumePolicy(max_attempts=3), 8), (False, 2)])
def test_a_server_that_ends_at_once_is_not_asked_for_ever(
    resume: bool | ResumePolicy, connections: int
) -> None:
    heard = Heard()

    async def end(peer: Peer, said: str) -> None:
        peer.text(message("", is_last=True))

    async def main() -> None:
        async with (
            served(end, heard=heard) as url,
            smallest.STT(api_key="k", base_url=url, resume=resume) as recogniser,
            recogniser.stream(conn_options=TWICE) as stream,
        ):
            pushing = asyncio.create_task(keep_pushing(stream))
            with pytest.raises(APIConnectionError):
                await rest(stream)
            pushing.cancel()
        assert heard.connections == connections

    run(main())


def test_the_key_shows_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    async def refuse(peer: Peer, said: str) -> None:
        peer.text({"type": "error", "message": "bad key sk_secret_1234"})

    recogniser = smallest.STT(api_key="sk_secret_1234")
    assert "sk_secret" not in repr(recogniser) + repr(vars(recogniser)) + repr(vars(recogniser._service))
    assert "sk_secret" not in repr(recogniser._options)
    with pytest.raises(APIError) as caught:
        run(talk(refuse))
    assert "sk_secret" not in repr(caught.value) + str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    assert "sk_secret" not in caplog.text


def test_sixty_streams_connect() -> None:
    heard = Heard()

    async def main() -> None:
        async with (
            served(saying(message("here")), heard=heard) as url,
            smallest.STT(api_key="k", base_url=url) as recogniser,
        ):
            streams = [recogniser.stream(conn_options=ONCE) for _ in range(60)]
            await until(lambda: heard.connections == 60)
            for stream in streams:
                push(stream, 0.05)
                stream.end_input()
            await asyncio.gather(*(rest(stream) for stream in streams))
            await asyncio.gather(*(stream.aclose() for stream in streams))

    run(main())


@pytest.mark.parametrize(
    "name", ["endpoint", "stream_path", "packet_ms", "compat", "endpointing_timeout", "langauge"]
)
def test_what_cannot_be_changed_is_refused(name: str) -> None:
    recogniser = smallest.STT(api_key="k", base_url="http://127.0.0.1:9")
    before = recogniser._options
    with pytest.raises(TypeError, match=f"cannot be changed: {name}; expected model, language, "):
        recogniser.update_options(**{name: 1})  # type: ignore[arg-type]  # on purpose
    assert recogniser._options is before


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"encoding": "pcm"}, "^encoding='pcm': expected one of linear16, linear32, alaw, mulaw$"),
        ({"encoding": "opus"}, "^encoding='opus': expected one of linear16, linear32, alaw, mulaw$"),
        ({"endpointing_timeout_ms": -1}, "^endpointing_timeout_ms=-1: expected "),
        ({"finalize_on_flush": "x"}, "^finalize_on_flush='x': expected True or False$"),
    ],
)
def test_an_argument_is_named_as_it_was_given(given: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        smallest.STT(api_key="k", base_url="http://127.0.0.1:9", **given)
    with pytest.raises(ValueError, match=text):
        smallest.STT(api_key="k", base_url="http://127.0.0.1:9").update_options(**given)
