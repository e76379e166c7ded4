"""A connection is lost, and nothing of what was said: inside one attempt of the framework."""

import logging
from typing import Any

import aiohttp
import pytest
from livekit.agents import APIConnectOptions, APIError, APIStatusError, stt

from dropping_server import DROPS, Drop, DroppingServer
from livekit import rtc
from livekit.plugins import smallest
from livekit.plugins.smallest.usage_once import UsageOnce
from livekit_stt import (
    END,
    FINAL,
    ONCE,
    Heard,
    data_of,
    message,
    plain_answer,
    push,
    rest,
    saying,
    served,
    shown,
    upto,
    usage,
    word,
)
from numbered_speech import RATE, speech
from smallest_proto.pulse import ResumePolicy
from sockets import Peer, raw_server, run, until

QUICK = APIConnectOptions(max_retry=0, timeout=5.0, retry_interval=0.001)
"""One attempt, in which connections follow one another at once."""


def speak(stream: stt.RecognizeStream, first: int, last: int) -> None:
    pcm = speech(first, last)
    stream.push_frame(rtc.AudioFrame(pcm, RATE, 1, len(pcm) // 2))


async def collect(events: list[stt.SpeechEvent], stream: stt.RecognizeStream) -> None:
    async for event in stream:
        events.append(event)


async def talk_into(server: DroppingServer, **options: Any) -> tuple[list[stt.SpeechEvent], list[Any]]:
    """Four seconds of numbered words, of which the first two are sent before the drop; and all metrics."""
    metrics: list[Any] = []
    async with (
        raw_server(server.behave) as url,
        smallest.STT(api_key="k", base_url=url, sample_rate=RATE, **options) as recogniser,
    ):
        recogniser.on("metrics_collected", metrics.append)
        async with recogniser.stream(conn_options=QUICK) as stream:
            speak(stream, 1, 5)
            await until(lambda: server.heard and server.heard[0] >= 2.0)
            if server.drop != "RST after end_input":
                await until(lambda: len(server.heard) == 2)
            speak(stream, 5, 9)
            stream.end_input()
            return await rest(stream), metrics


@pytest.mark.parametrize("drop", DROPS)
@pytest.mark.parametrize("session", [False, True])
def test_all_that_was_said_is_told(drop: Drop, session: bool) -> None:
    server = DroppingServer(drop, 2.0)

    async def main() -> tuple[list[stt.SpeechEvent], list[Any]]:
        if not session:
            return await talk_into(server, endpoint="live")
        async with aiohttp.ClientSession() as over:
            return await talk_into(server, endpoint="live", http_session=over)

    events, metrics = run(main())
    final = data_of(events)
    assert final.text == "1 2 3 4 5 6 7 8"
    assert (final.start_time, final.end_time) == pytest.approx((0.0, 4.0), abs=0.01)
    assert [str(event) for event in shown(events)] == ["START", "FINAL 1 2 3 4 5 6 7 8", "END"]
    assert server.heard[1] == pytest.approx(4.0)
    # two seconds were sent twice, and are four seconds of speech all the same
    assert usage(events) == pytest.approx(4.0)
    assert len([m for m in metrics if m.acquire_time > 0]) == 2


@pytest.mark.parametrize("session", [False, True])
def test_without_resuming_a_drop_ends_the_attempt(session: bool) -> None:
    server = DroppingServer("FIN", 2.0)

    async def main() -> None:
        async with (
            aiohttp.ClientSession() as over,
            raw_server(server.behave) as url,
            smallest.STT(
                api_key="k",
                base_url=url,
                sample_rate=RATE,
                resume=False,
                http_session=over if session else None,
            ) as recogniser,
            recogniser.stream(conn_options=QUICK) as stream,
        ):
            speak(stream, 1, 9)
            with pytest.raises(APIError):
                await rest(stream)

    run(main())
    assert len(server.heard) == 1


def test_an_open_turn_goes_on_and_times_too() -> None:
    async def drop(peer: Peer, said: str) -> None:
        peer.text(message("one", words=[word("one", 0.1, 0.5)]))
        peer.text(message("two", is_final=False))
        peer.close_frame(1011)

    heard = Heard()

    async def main() -> list[stt.SpeechEvent]:
        async with (
            served(drop, saying(message("two", words=[word("two", 0.5, 0.7)])), heard=heard) as url,
            smallest.STT(api_key="k", base_url=url) as recogniser,
            recogniser.stream(conn_options=QUICK) as stream,
        ):
            stream.start_time_offset = 100.0
            push(stream, 1.0)
            stream.end_input()
            return await rest(stream)

    events = run(main())
    assert shown(events) == ["START", "FINAL one", "END", "START", "INTERIM two", "FINAL two", "END"]
    last = events[-2].alternatives[0]
    # the second connection hears what follows 0.25 s before the end of the last final word
    assert last.start_time == pytest.approx(100.75, abs=0.1)
    assert sum(heard.packets[1]) == pytest.approx(0.75 * 32000)
    assert usage(events) == pytest.approx(1.0)


def test_when_no_connection_comes_about_the_error_is_told() -> None:
    seen: list[str] = []

    async def behave(peer: Peer) -> None:
        if not seen:
            await peer.accept()
            seen.append(peer.request)
            await peer.frame()
            peer.reset()
            return
        await peer.refuse(401)
        seen.append(peer.request)

    async def main() -> list[stt.SpeechEvent]:
        events: list[stt.SpeechEvent] = []
        async with (
            raw_server(behave) as url,
            smallest.STT(api_key="k", base_url=url) as recogniser,
            recogniser.stream(conn_options=QUICK) as stream,
        ):
            push(stream, 0.05)
            await until(lambda: len(seen) == 2)
            push(stream, 1.0)
            with pytest.raises(APIStatusError) as caught:
                await collect(events, stream)
            assert (caught.value.status_code, caught.value.retryable) == (401, False)
        return events

    assert 0.05 <= usage(run(main())) < 0.5  # most was never sent
    assert len(seen) == 2


def test_a_policy_of_ones_own() -> None:
    heard = Heard()

    async def drop(peer: Peer, said: str) -> None:
        peer.reset()

    async def main() -> None:
        policy = ResumePolicy(max_attempts=2, first_delay=0.0)
        async with (
            served(drop, heard=heard) as url,
            smallest.STT(api_key="k", base_url=url, resume=policy) as recogniser,
            recogniser.stream(conn_options=ONCE) as stream,
        ):
            push(stream, 0.1)
            with pytest.raises(APIError) as caught:
                await rest(stream)
            assert caught.value.retryable

    run(main())
    assert heard.connections == 3


def test_what_happens_is_logged_without_what_was_said(caplog: pytest.LogCaptureFixture) -> None:
    async def fail(peer: Peer, said: str) -> None:
        peer.text(message("private words"))
        peer.text({"type": "error", "message": "private error"})

    async def main() -> None:
        async with (
            served(fail, plain_answer) as url,
            smallest.STT(api_key="k", base_url=url) as recogniser,
            recogniser.stream(conn_options=QUICK) as stream,
        ):
            push(stream, 0.5)
            stream.end_input()
            await rest(stream)

    caplog.set_level(logging.DEBUG, logger="livekit.plugins.smallest")
    run(main())
    texts = [record.getMessage() for record in caplog.records if record.name == "livekit.plugins.smallest"]
    assert texts == [
        "lost the connection to Smallest AI (ServerError), trying again in 0.00 s (attempt 1)",
        "connected to Smallest AI again, sending 0.50 s of audio once more",
    ]
    assert "private" not in caplog.text
    assert [getattr(r, "lk.pii.error_message", "") for r in caplog.records][:1] == ["private error"]


def test_new_options_while_audio_goes_on() -> None:
    """What the old connection has made no final of is heard under the new options."""
    heard = Heard()

    async def mute(peer: Peer, said: str) -> None:
        pass

    async def main() -> list[stt.SpeechEvent]:
        async with (
            served(mute, saying(message("now", words=[word("now", 0.1, 0.4)])), heard=heard) as url,
            smallest.STT(api_key="k", base_url=url) as recogniser,
            recogniser.stream(conn_options=QUICK) as stream,
        ):
            push(stream, 0.5)
            await until(lambda: heard.packets and sum(heard.packets[0]) == 16000)
            recogniser.update_options(language="hi")
            events = await upto(stream, END)
            recogniser.update_options(language="de")
            stream.end_input()
            return events + await rest(stream)

    events = run(main())
    assert shown(events) == ["START", "FINAL now", "END"]
    assert data_of(events, FINAL).start_time == pytest.approx(0.1, abs=0.01)
    assert data_of(events, FINAL).language == "hi"
    assert "language=hi" in heard.target(1)
    assert sum(heard.packets[1]) == 16000
    assert usage(events) == pytest.approx(0.5)


def test_each_second_of_audio_is_reported_once() -> None:
    meter = UsageOnce()
    assert meter.sent(2.0) == 2.0
    meter.resumed(0.5)
    assert meter.sent(1.0) == 0.0
    meter.resumed(0.5)
    assert meter.sent(2.5) == 1.0
    assert meter.rest(3.25) == 0.25
    assert meter.rest(3.25) == 0.0


def test_what_was_gathered_goes_before_a_flush() -> None:
    heard = Heard()

    async def main() -> None:
        async with (
            served(heard=heard) as url,
            smallest.STT(api_key="k", base_url=url, finalize_on_flush=True) as recogniser,
            recogniser.stream(conn_options=QUICK) as stream,
        ):
            push(stream, 0.03)
            stream.flush()
            await until(lambda: heard.texts and heard.texts[0])
            assert sum(heard.packets[0]) == 960
            stream.end_input()
            await rest(stream)
            with pytest.raises(RuntimeError):
                push(stream, 0.01)

    run(main())
