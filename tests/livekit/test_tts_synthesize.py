"""A whole text over HTTP, with sockets of our own and over somebody's aiohttp session; streams over one, too."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest
from livekit.agents import APIConnectionError, APIConnectOptions, APIError, APIStatusError, APITimeoutError

from livekit.plugins.smallest.g711_expand import expand
from livekit.plugins.smallest.tts import TTS
from livekit_speech import AGAIN, KEY, ONCE, Heard, collect_metrics, say, scripted, spoken, tone
from smallest_transports.loopback import serve
from smallest_transports.loopback.engines.scripted import sawtooth
from sockets import Peer, chunk, complete, raw_server, run

WHOLE = sawtooth(round(12 * 0.06 * 24000))


@asynccontextmanager
async def speaker(url: str, over_session: bool, key: str = "k") -> AsyncIterator[TTS]:
    """A `TTS` with sockets of its own, or over a session."""
    if not over_session:
        async with TTS(api_key=key, base_url=url) as tts:
            yield tts
        return
    async with (
        aiohttp.ClientSession() as session,
        TTS(api_key=key, base_url=url, http_session=session) as tts,
    ):
        yield tts
    await asyncio.sleep(0)  # aiohttp's transports close in the next turn of the loop


async def spoken_text(tts: TTS, text: str = "Hello there.", conn_options: APIConnectOptions = ONCE) -> Heard:
    async with tts.synthesize(text, conn_options=conn_options) as stream:
        return await Heard().hear(stream)


class Posts:
    """A server of HTTP responses as they stand here; keeps the requests."""

    def __init__(self, *responses: bytes | Callable[[Peer], Awaitable[None]]) -> None:
        self._responses = responses
        self.heads: list[str] = []
        self.bodies: list[dict[str, object]] = []

    async def __call__(self, peer: Peer) -> None:
        head = await peer.read_request()
        size = next(
            int(line[15:]) for line in head.split("\r\n") if line.lower().startswith("content-length")
        )
        self.bodies.append(json.loads(await peer.reader.readexactly(size)))
        response = self._responses[min(len(self.heads), len(self._responses) - 1)]
        self.heads.append(head)
        if isinstance(response, bytes):
            peer.send(response)
        else:
            await response(peer)


def ok(body: bytes, length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    return f"HTTP/1.1 200 OK\r\nContent-Type: audio/wav\r\nContent-Length: {size}\r\n\r\n".encode() + body


def refusal(status: int, body: bytes) -> bytes:
    return f"HTTP/1.1 {status} No\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


both = pytest.mark.parametrize("over_session", [False, True], ids=["sockets", "session"])


@both
@pytest.mark.parametrize("name", ["pcm", "wav", "ulaw", "alaw"])
def test_every_format_comes_out_as_the_same_pcm(name: str, over_session: bool) -> None:
    async def main() -> None:
        async with serve(api_key="k") as server, speaker(server.url, over_session) as tts:
            tts.update_options(output_format=name)
            metrics = collect_metrics(tts)
            heard = await spoken_text(tts)
            assert heard.error is None
            assert len(heard.pcm) == len(WHOLE)
            if name in ("pcm", "wav"):
                assert heard.pcm == WHOLE
            else:  # a sawtooth of 1000: mu-law errs by 16 there, A-law by 32
                samples = memoryview(heard.pcm).cast("h"), memoryview(WHOLE).cast("h")
                assert max(abs(a - b) for a, b in zip(*samples, strict=True)) <= 32
            (metric,) = metrics
            assert {metric.request_id} == heard.request_ids
            assert (metric.characters_count, metric.streamed) == (12, False)
            assert heard.finals == [False] * (len(heard.finals) - 1) + [True]

    run(main())


@both
def test_the_request_is_the_seeds(over_session: bool) -> None:
    async def main() -> None:
        posts = Posts(ok(tone(0.1)))
        async with raw_server(posts) as url, speaker(url, over_session) as tts:
            heard = await spoken_text(tts)
            assert heard.pcm == tone(0.1)
        assert list(posts.bodies[0].items()) == [
            ("model", "lightning_v3.1_pro"),
            ("voice_id", "meher"),
            ("sample_rate", 24000),
            ("speed", 1.0),
            ("language", "en"),
            ("output_format", "pcm"),
            ("text", "Hello there."),
        ]
        head = posts.heads[0]
        assert head.startswith("POST /tts HTTP/1.1\r\n")
        lines = {line.lower() for line in head.split("\r\n")}
        assert {"authorization: bearer k", "content-type: application/json", "x-source: livekit"} <= lines
        assert any(line.startswith("x-livekit-version: ") for line in lines)

    run(main())


@both
def test_a_refusal_is_a_status_error_tried_once(over_session: bool) -> None:
    async def main() -> None:
        body = b'{"error":[{"code":"custom","path":["voice_id"],"message":"secret words"}]}'
        posts = Posts(refusal(400, body))
        async with raw_server(posts) as url, speaker(url, over_session, KEY) as tts:
            heard = await spoken_text(tts, conn_options=AGAIN)
        assert isinstance(heard.error, APIStatusError)
        assert heard.error.status_code == 400
        assert len(posts.heads) == 1
        shown = f"{heard.error!s}{heard.error!r}{heard.error.__cause__!r}{heard.error.__context__!r}"
        assert "secret words" not in shown
        assert KEY not in shown

    run(main())


@both
def test_a_server_that_is_busy_is_asked_again(over_session: bool) -> None:
    async def main() -> None:
        posts = Posts(refusal(503, b"{}"), ok(tone(0.1)))
        async with raw_server(posts) as url, speaker(url, over_session) as tts:
            heard = await spoken_text(tts, conn_options=AGAIN)
        assert heard.error is None
        assert heard.pcm == tone(0.1)

    run(main())


@both
def test_audio_before_a_drop_is_heard_and_the_text_not_said_twice(over_session: bool) -> None:
    async def main() -> None:
        posts = Posts(ok(tone(0.1), length=99999))
        async with raw_server(posts) as url, speaker(url, over_session) as tts:
            heard = await spoken_text(tts, conn_options=AGAIN)
        assert heard.pcm == tone(0.1)
        assert isinstance(heard.error, APIConnectionError)
        assert len(posts.heads) == 1

    run(main())


@both
def test_a_server_that_never_answers_is_a_timeout(over_session: bool) -> None:
    async def mute(peer: Peer) -> None:
        await peer.until_gone()

    async def main() -> float:
        async with raw_server(Posts(mute)) as url, speaker(url, over_session) as tts:
            begun = asyncio.get_running_loop().time()
            heard = await spoken_text(tts, conn_options=APIConnectOptions(max_retry=0, timeout=0.3))
            assert isinstance(heard.error, APITimeoutError)
            return asyncio.get_running_loop().time() - begun

    assert 0.2 < run(main()) < 3.0


@both
def test_nowhere_to_connect_is_a_connection_error(over_session: bool) -> None:
    async def main() -> None:
        async with raw_server(Posts(b"")) as url:
            pass
        async with speaker(url, over_session) as tts:
            heard = await spoken_text(tts)
            assert isinstance(heard.error, APIConnectionError)

    run(main())


@both
def test_a_redirect_does_not_take_the_key_elsewhere(over_session: bool) -> None:
    async def main() -> None:
        elsewhere = Posts(ok(tone(0.1)))
        async with raw_server(elsewhere) as other:
            moved = f"HTTP/1.1 307 Moved\r\nLocation: {other}/tts\r\nContent-Length: 0\r\n\r\n".encode()
            async with raw_server(Posts(moved)) as url, speaker(url, over_session) as tts:
                heard = await spoken_text(tts)
                assert isinstance(heard.error, APIStatusError)
        assert not elsewhere.heads

    run(main())


@both
@pytest.mark.parametrize("text", ["", " \n"])
def test_nothing_to_say_asks_nothing(text: str, over_session: bool) -> None:
    async def main() -> None:
        posts = Posts(b"")
        async with raw_server(posts) as url, speaker(url, over_session) as tts:
            heard = await spoken_text(tts, text)
            assert (heard.error, heard.pcm, posts.heads) == (None, b"", [])

    run(main())


@both
def test_an_empty_answer_is_an_error_that_does_not_repeat_the_text(over_session: bool) -> None:
    async def main() -> None:
        async with raw_server(Posts(ok(b""))) as url, speaker(url, over_session) as tts:
            heard = await spoken_text(tts, "my secret words")
            assert isinstance(heard.error, APIError)
            assert "secret" not in f"{heard.error!s}{heard.error!r}"

    run(main())


@both
def test_a_closed_stream_lets_go_of_its_request(over_session: bool) -> None:
    async def endless(peer: Peer) -> None:
        peer.send(ok(tone(0.5), length=10**9))
        await peer.until_gone()

    async def main() -> None:
        async with raw_server(Posts(endless)) as url, speaker(url, over_session) as tts:
            stream = tts.synthesize("Hello.", conn_options=ONCE)
            await anext(aiter(stream))
            await stream.aclose()

    run(main())


def test_a_stream_speaks_over_the_session() -> None:
    async def main() -> None:
        async with scripted(spoken(chunk(tone(0.1)), complete())) as (script, url), speaker(url, True) as tts:
            heard = await say(tts, "Hello.")
            assert heard.error is None
            assert heard.pcm == tone(0.1)
            assert "aiohttp" in script.requests[0]
            assert "\r\nX-Source: livekit\r\n" in script.requests[0]

    run(main())


def test_g711_goes_by_the_book() -> None:
    """Ends and middles of the tables in ITU-T G.711."""
    assert expand(bytes([0x00, 0x7F, 0x80, 0xFF, 0x8F]), "ulaw") == b"".join(
        value.to_bytes(2, "little", signed=True) for value in (-32124, 0, 32124, 0, 16764)
    )
    assert expand(bytes([0x55, 0xD5, 0x2A, 0xAA, 0x80]), "alaw") == b"".join(
        value.to_bytes(2, "little", signed=True) for value in (-8, 8, -32256, 32256, 5504)
    )
