"""What LiveKit expects of every speech-to-text plugin: timeouts, retries, metrics, closing, batch."""

import asyncio
import gc
import logging
import time
from typing import Any

import pytest
from livekit.agents import (
    APIConnectionError,
    APIConnectOptions,
    APIError,
    APIStatusError,
    APITimeoutError,
    LanguageCode,
    Plugin,
    stt,
)

from livekit.plugins import smallest
from livekit.plugins.smallest import speech_stream
from livekit_stt import (
    END,
    FINAL,
    ONCE,
    START,
    TWICE,
    Answer,
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
from smallest_transports.loopback import serve
from sockets import Peer, raw_server, run, until


def recogniser(url: str, **options: Any) -> smallest.STT:
    return smallest.STT(api_key="sk_test", base_url=url, **options)


async def hear(url: str, conn_options: APIConnectOptions, seconds: float = 0.1) -> list[stt.SpeechEvent]:
    async with recogniser(url) as pulse, pulse.stream(conn_options=conn_options) as stream:
        push(stream, seconds)
        stream.end_input()
        return await rest(stream)


def test_what_the_plugin_says_of_itself() -> None:
    pulse = smallest.STT(api_key="k", diarize=True)
    assert (pulse.model, pulse.provider) == ("pulse", "SmallestAI")
    assert pulse.label == "livekit.plugins.smallest.stt.STT"
    assert pulse.capabilities == stt.STTCapabilities(
        streaming=True, interim_results=True, diarization=True, aligned_transcript="word"
    )
    assert smallest.STT(api_key="k", word_timestamps=False).capabilities.aligned_transcript is False
    plugins = [plugin for plugin in Plugin.registered_plugins if plugin.package == "livekit.plugins.smallest"]
    assert [plugin.version for plugin in plugins] == [smallest.__version__]
    assert isinstance(plugins[0].logger, logging.Logger)


def test_a_missing_key_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SMALLEST_API_KEY", raising=False)
    with pytest.raises(ValueError, match="SMALLEST_API_KEY"):
        smallest.STT()
    monkeypatch.setenv("SMALLEST_API_KEY", "sk_env")
    smallest.STT()


@pytest.mark.parametrize(
    "wrong",
    [
        {"sample_rate": 11025},
        {"encoding": "opus"},
        {"language": ""},
        {"eou_timeout_ms": 20},
        {"stream_path": "/elsewhere"},
        {"endpoint": "nowhere"},
        {"keywords": [("a,b", 1.0)]},
        {"numerals": "perhaps"},
        {"base_url": "api.smallest.ai"},
        {"resume": 3},
    ],
)
def test_a_wrong_argument_is_named(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        smallest.STT(api_key="k", **wrong)


def test_a_server_that_never_answers_is_a_timeout() -> None:
    async def main() -> float:
        async def mute(peer: Peer) -> None:
            await peer.until_gone()

        async with raw_server(mute) as url:
            started = time.monotonic()
            with pytest.raises(APITimeoutError):
                await hear(url, APIConnectOptions(max_retry=0, timeout=2.5))
            return time.monotonic() - started

    assert 1.5 <= run(main()) <= 3.5


@pytest.mark.parametrize(("status", "attempts"), [(401, 1), (403, 1), (404, 1), (429, 2), (500, 2), (503, 2)])
def test_a_refusal_is_retried_when_that_can_help(status: int, attempts: int) -> None:
    seen: list[str] = []

    async def refuse(peer: Peer) -> None:
        await peer.refuse(status, b'{"error":"no, sk_test"}', X_Request_Id="r-7")
        seen.append(peer.request)

    async def main() -> None:
        async with raw_server(refuse) as url:
            with pytest.raises(APIError) as caught:
                await hear(url, TWICE)
        assert len(seen) == attempts
        if attempts == 1:
            assert isinstance(caught.value, APIStatusError)
            assert (caught.value.status_code, caught.value.request_id) == (status, "r-7")
            assert "no, sk_test" not in str(caught.value)

    run(main())


def test_no_server_at_all_is_a_connection_error() -> None:
    async def main() -> None:
        async with raw_server(plain_answer) as url:  # type: ignore[arg-type]  # nobody gets that far
            pass
        with pytest.raises(APIConnectionError) as caught:
            await hear(url, ONCE)
        assert caught.value.retryable

    run(main())


def test_retries_come_to_an_end() -> None:
    async def drop(peer: Peer, said: str) -> None:
        peer.reset()

    heard = Heard()

    async def main() -> None:
        async with served(drop, heard=heard) as url, recogniser(url) as pulse:
            errors: list[stt.STTError] = []
            pulse.on("error", errors.append)
            async with pulse.stream(conn_options=TWICE) as stream:
                pushing = asyncio.create_task(keep_pushing(stream))
                with pytest.raises(APIConnectionError, match="after 1 attempts"):
                    await rest(stream)
                pushing.cancel()
        assert heard.connections == 2 * (1 + ResumePolicy().max_attempts)
        assert [error.recoverable for error in errors] == [True, False]

    run(main())


@pytest.mark.parametrize("how", ["reset", "close 1000", "close 1011", "error"])
@pytest.mark.parametrize("resume", [True, False])
def test_a_drop_is_followed_by_another_connection(how: str, resume: bool) -> None:
    async def drop(peer: Peer, said: str) -> None:
        peer.text(message("before", words=[word("before", 0.01, 0.04)]))
        if how == "reset":
            await peer.writer.drain()
            peer.writer.close()
        elif how == "error":
            peer.text({"type": "error", "message": "out of luck"})
        else:
            peer.close_frame(int(how.split()[1]))

    heard = Heard()
    errors: list[stt.STTError] = []

    async def main() -> list[stt.SpeechEvent]:
        async with (
            served(drop, saying(message("after", words=[word("after", 0.1, 0.2)])), heard=heard) as url,
            recogniser(url, resume=resume) as pulse,
            pulse.stream(conn_options=TWICE) as stream,
        ):
            pulse.on("error", errors.append)
            push(stream, 0.05)
            events = await upto(stream, END)
            await until(lambda: heard.connections == 2)
            push(stream, 0.1)
            stream.end_input()
            return events + await rest(stream)

    events = run(main())
    assert shown(events) == ["START", "FINAL before", "END", "START", "FINAL after", "END"]
    assert usage(events) == pytest.approx(0.15)
    if resume:  # the second connection heard it all again, and the framework was not troubled
        assert data_of(events[3:]).start_time == pytest.approx(0.1, abs=0.05)
        assert (sum(heard.packets[1]), errors) == (4800, [])
    else:
        assert data_of(events[3:]).start_time > 0.2  # 0.1 s after the second connection began
        assert (sum(heard.packets[1]), len(errors)) == (3200, 1)


def test_an_error_message_shows_only_where_it_may(caplog: pytest.LogCaptureFixture) -> None:
    async def fail(peer: Peer, said: str) -> None:
        peer.text({"type": "error", "error_code": "BAD_AUDIO", "message": "you said something private"})

    with pytest.raises(APIStatusError, match="BAD_AUDIO") as caught:
        run(talk(fail))
    assert caught.value.status_code == -1
    assert "private" not in str(caught.value) + repr(caught.value)
    assert "private" not in caplog.text
    records = [record for record in caplog.records if hasattr(record, "lk.pii.error_message")]
    assert [getattr(record, "lk.pii.error_message") for record in records] == ["you said something private"]


def test_no_transcript_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    odd = {"type": "greeting", "transcription_of": "private words"}
    run(talk(saying(odd, message("private words"), '["private words"]')))
    assert "private words" not in caplog.text
    assert any("private words" in str(getattr(r, "lk.pii.message", "")) for r in caplog.records)


def test_empty_input_ends() -> None:
    heard = Heard()
    assert run(talk(heard=heard, seconds=0)) == []
    assert (heard.packets, heard.texts) == ([[]], [["close_stream"]])


def test_closing_early_leaves_nothing() -> None:
    async def main() -> None:
        async with served() as url:
            pulse = recogniser(url)
            streams = [pulse.stream() for _ in range(3)]
            push(streams[0], 0.5)
            await asyncio.sleep(0)  # one has not even begun to connect
            await streams[0].aclose()
            await pulse.aclose()
            for stream in streams:
                with pytest.raises(RuntimeError):
                    stream.push_frame(frame())
            assert await rest(streams[1]) == []

    run(main())


def test_streams_are_not_kept() -> None:
    async def main() -> None:
        async with served() as url, recogniser(url) as pulse:
            async with pulse.stream(conn_options=ONCE) as stream:
                stream.end_input()
                await rest(stream)
            del stream
            gc.collect()
            assert not pulse._streams

    run(main())


def test_a_language_for_one_stream_only() -> None:
    heard = Heard()

    async def main() -> None:
        async with served(saying(message("x")), saying(message("y")), heard=heard) as url:
            pulse = recogniser(url, language="multi-eu")
            events = []
            for language in ("hi", "multi-eu"):
                given: dict[str, Any] = {"language": language} if language == "hi" else {}
                async with pulse.stream(conn_options=ONCE, **given) as stream:
                    push(stream, 0.05)
                    stream.end_input()
                    events = await rest(stream)
        assert ["language=hi" in heard.target(i) for i in (0, 1)] == [True, False]
        assert data_of(events).language == "multi-eu"
        assert isinstance(data_of(events).language, LanguageCode)

    run(main())


def test_the_servers_language_is_told() -> None:
    events = run(talk(saying(message("x", language="ENG"))))
    assert data_of(events).language == "en"


def test_the_frameworks_offset_is_added() -> None:
    async def main() -> None:
        say = saying(message("x", words=[word("x", 0.5, 0.7)]))
        async with served(say) as url, recogniser(url) as pulse, pulse.stream(conn_options=ONCE) as stream:
            stream.start_time_offset = 100.0
            push(stream, 0.05)
            stream.end_input()
            data = data_of(await rest(stream))
        assert (data.start_time, data.end_time) == pytest.approx((100.5, 100.7), abs=0.05)
        assert data.words is not None
        assert data.words[0].start_time == pytest.approx(100.5, abs=0.05)
        assert data.words[0].start_time_offset == pytest.approx(100.0, abs=0.05)

    run(main())


@pytest.fixture(params=sorted({speech_stream.COUNTS, False}))
def any_framework(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a version of the framework that is known, if this is one, and with one that is not."""
    monkeypatch.setattr(speech_stream, "COUNTS", request.param)


@pytest.mark.usefixtures("any_framework")
def test_metrics() -> None:
    async def main() -> None:
        metrics: list[Any] = []
        async with served(saying(message("x"))) as url, recogniser(url) as pulse:
            pulse.on("metrics_collected", metrics.append)
            async with pulse.stream(conn_options=ONCE) as stream:
                push(stream, 1.0)
                stream.end_input()
                await rest(stream)
        acquired, used = metrics
        assert acquired.acquire_time > 0
        assert (acquired.connection_reused, acquired.audio_duration) == (False, 0.0)
        assert (used.audio_duration, used.streamed) == (pytest.approx(1.0), True)
        assert used.metadata.model_name == "pulse"
        assert used.metadata.model_provider == "SmallestAI"
        assert used.label == pulse.label

    run(main())


def test_a_handler_of_metrics_that_fails_ends_nothing() -> None:
    def fail(metrics: Any) -> None:
        if metrics.audio_duration:
            raise TypeError("of a handler")

    async def main() -> list[str]:
        async with served(saying(message("x"))) as url, recogniser(url) as pulse:
            pulse.on("metrics_collected", fail)
            async with pulse.stream(conn_options=ONCE) as stream:
                push(stream, 1.0)
                stream.end_input()
                return shown(await rest(stream))

    assert run(main()) == ["START", "FINAL x", "END"]


def test_giving_up_an_event_loses_none() -> None:
    async def main() -> None:
        async with (
            served(saying(message("x"), at="finalize")) as url,
            recogniser(url, finalize_on_flush=True) as pulse,
            pulse.stream(conn_options=ONCE) as stream,
        ):
            push(stream, 0.1)
            for _ in range(3):
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(anext(stream), 0.01)
            stream.flush()
            stream.end_input()
            assert shown(await rest(stream)) == ["START", "FINAL x", "END"]
            with pytest.raises(StopAsyncIteration):
                await anext(stream)

    run(main())


@pytest.mark.usefixtures("any_framework")
def test_a_final_gives_all_retries_back() -> None:
    def drop(text: str) -> Answer:
        async def answer(peer: Peer, said: str) -> None:
            peer.text(message(text))
            peer.text({"type": "error", "message": "out of luck"})

        return answer

    async def main() -> list[str]:
        last = saying(message("d"))
        async with (
            served(drop("a"), drop("b"), drop("c"), last) as url,
            recogniser(url, resume=False) as pulse,
            pulse.stream(conn_options=TWICE) as stream,
        ):
            pushing = asyncio.create_task(keep_pushing(stream))
            texts = [(await upto(stream, FINAL))[-1].alternatives[0].text for _ in range(4)]
            pushing.cancel()
            return texts

    assert run(main()) == ["a", "b", "c", "d"]


def test_a_recording() -> None:
    async def main() -> None:
        metrics: list[Any] = []
        async with serve(api_key="sk_test") as server, recogniser(server.url) as pulse:
            pulse.on("metrics_collected", metrics.append)
            event = await pulse.recognize([frame(0.5), frame(1.0)], language="hi")
        assert event.type is FINAL
        assert event.request_id
        assert (event.alternatives[0].text, event.alternatives[0].language) == ("heard 1.5 seconds", "hi")
        assert event.alternatives[0].words
        assert (metrics[0].audio_duration, metrics[0].streamed) == (pytest.approx(1.5), False)

    run(main())


@pytest.mark.parametrize(
    ("options", "target"),
    [
        (
            {},
            "/pulse/get_text?language=en&encoding=linear16&sample_rate=16000&word_timestamps=true&diarize=false",
        ),
        ({"endpoint": "live"}, "/stt/?model=pulse&language=en&word_timestamps=true&diarize=false"),
    ],
)
def test_the_request_for_a_recording(options: dict[str, Any], target: str) -> None:
    seen: list[str] = []

    async def answer(peer: Peer) -> None:
        seen.append(await peer.read_request())
        peer.send(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 64\r\n\r\n"
            + b'{"status":"success","transcription":"hello","words":null}'.ljust(64)
        )
        await peer.until_gone()

    async def main() -> None:
        async with raw_server(answer) as url, recogniser(url, **options) as pulse:
            event = await pulse.recognize(frame(0.1), conn_options=ONCE)
        assert event.alternatives[0].text == "hello"

    run(main())
    assert seen[0].startswith(f"POST {target} HTTP/1.1")
    assert "content-type: application/octet-stream" in seen[0].lower()
    assert "x-source: livekit" in seen[0].lower()


@pytest.mark.parametrize(("status", "attempts"), [(401, 1), (429, 2), (503, 2)])
def test_a_refused_recording(status: int, attempts: int) -> None:
    seen: list[str] = []

    async def refuse(peer: Peer) -> None:
        await peer.refuse(status, b'{"error":"private"}')
        seen.append(peer.request)
        await peer.until_gone()

    async def main() -> None:
        async with raw_server(refuse) as url, recogniser(url) as pulse:
            with pytest.raises(APIError) as caught:
                await pulse.recognize(frame(0.1), conn_options=TWICE)
        assert len(seen) == attempts
        assert "private" not in str(caught.value)

    run(main())


def test_a_recording_of_nothing() -> None:
    pulse = recogniser("http://127.0.0.1:9")
    event = run(pulse.recognize(frame(0.0)))
    assert event.alternatives[0].text == ""


def test_a_model_that_cannot_stream() -> None:
    async def main() -> None:
        with pytest.raises(ValueError, match="pulse-pro"):
            recogniser("http://127.0.0.1:9", model="pulse-pro", endpoint="live").stream()

    run(main())


@pytest.mark.parametrize("started", [START])
def test_start_has_neither_text_nor_id(started: stt.SpeechEventType) -> None:
    events = run(talk(saying(message("x"))))
    assert [(e.request_id, e.alternatives) for e in events if e.type is started] == [("", [])]
    assert {e.request_id for e in events if e.type is FINAL} == {"s1"}


@pytest.mark.parametrize(("name", "size"), [("mulaw", 400), ("alaw", 400), ("linear32", 1600)])
def test_the_encoding_asked_for_is_what_the_server_gets(name: str, size: int) -> None:
    heard = Heard()
    run(talk(heard=heard, encoding=name, sample_rate=8000))
    assert f"encoding={name}&sample_rate=8000" in heard.target()
    assert set(heard.packets[0][:-1]) == {size}
