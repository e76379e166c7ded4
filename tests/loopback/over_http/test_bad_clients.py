"""What bad clients send, or never read, and what is left of them."""

import asyncio

import pytest

from http_faults import HASTY
from loopback.over_http.clients import SPEAK, connected
from loopback.over_http.engines import Engine, Voice
from smallest_proto.errors import ConnectionLost
from smallest_proto.lightning import AudioChunk
from smallest_proto.pulse import BatchPcm
from smallest_transports._asyncio_backend import AsyncioBackend
from smallest_transports.asyncio import list_voices, synthesize, transcribe
from smallest_transports.loopback import serve
from sockets import run, stall, until


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"\x16\x03\x01\x02\x00\r\n\r\n", 400),
        (b"SSH-2.0-OpenSSH_9\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 20_000, 431),
        (b"GET /", 408),
        (b"POST /waves/v1/tts HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{", 408),
        (b"POST /waves/v1/tts HTTP/1.1\r\nHost: x\r\nContent-Length: 251000000\r\n\r\n", 413),
        (b"POST /waves/v1/tts HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nwhat?\r\n", 400),
    ],
)
def test_bad_bytes_get_an_answer_and_an_end(sent: bytes, status: int) -> None:
    async def main() -> None:
        async with serve(limits=HASTY) as server:
            async with await connected(server.port) as client:
                client.writer.write(sent)
                found = await client.answer()
                assert found.status == status
                assert await client.at_end()
            assert await list_voices(base_url=server.url)

    run(main(), within=5)


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"])
def test_a_silent_client_is_left(sent: bytes) -> None:
    async def main() -> None:
        async with serve(limits=HASTY) as server, await connected(server.port) as client:
            client.writer.write(sent)
            if sent:
                await client.answer()
            assert await client.at_end()

    run(main(), within=5)


def test_an_upgrade_that_is_never_complete_is_left() -> None:
    async def main() -> None:
        async with serve(limits=HASTY) as server, await connected(server.port) as client:
            client.writer.write(b"GET /waves/v1/pulse/get_text HTTP/1.1\r\nUpgrade: websocket\r\n")
            assert (await client.answer()).status == 408
            assert await client.at_end()

    run(main(), within=5)


def test_a_client_that_does_not_read_stops_the_voice() -> None:
    voice = Voice()

    async def main() -> None:
        async with serve(synthesizer=voice, limits=HASTY) as server:
            stream = await AsyncioBackend().connect("127.0.0.1", server.port, timeout=1)
            head = f"POST /tts HTTP/1.1\r\nHost: x\r\nContent-Length: {len(SPEAK)}\r\n\r\n".encode()
            await stream.write(head + SPEAK, None)
            await until(lambda: voice.closed_in)
            await stream.aclose()

    run(main())
    assert voice.closed_in[0].startswith("engine")
    assert voice.spoken * 4800 < 64 * 1024 * 1024


def test_a_slow_client_holds_the_voice_back() -> None:
    voice = Voice()

    async def main() -> None:
        async with serve(synthesizer=voice) as server, synthesize("Hi", base_url=server.url) as speech:
            assert isinstance(await anext(speech), AudioChunk)
            await stall(lambda: voice.spoken * 4800, 16 * 1024 * 1024)
            assert not voice.closed_in
        assert voice.closed_in

    run(main())


def test_a_client_that_leaves_frees_the_recogniser_once() -> None:
    engine = Engine(block="feed")

    async def main() -> None:
        async with serve(recognizer=engine) as server:
            calling = asyncio.create_task(transcribe(BatchPcm(bytes(300_000), 16000), base_url=server.url))
            await until(engine.entered.is_set)
            calling.cancel()
            await asyncio.wait([calling])
            await until(
                lambda: any(task.cancelling() for task in asyncio.all_tasks())
            )  # the server has seen it
            engine.release.set()
            await until(lambda: "close" in engine.calls)
            assert engine.calls == ["open", "feed", "close"]

    run(main())


def test_the_server_stops_in_the_middle_of_everything() -> None:
    engine, voice = Engine(block="feed"), Voice()

    async def main() -> None:
        async with serve(recognizer=engine, synthesizer=voice) as server:

            async def hear() -> None:
                with pytest.raises(ConnectionLost):
                    await transcribe(BatchPcm(bytes(32000), 16000), base_url=server.url)

            async def listen() -> None:
                async with synthesize("Hi", base_url=server.url) as speech:
                    with pytest.raises(ConnectionLost):
                        [event async for event in speech]

            tasks = [asyncio.create_task(hear()), asyncio.create_task(listen())]
            idle = await connected(server.port)
            await until(lambda: engine.entered.is_set() and voice.spoken > 3)
            asyncio.get_running_loop().call_later(0.1, engine.release.set)
        await asyncio.gather(*tasks)
        assert await idle.at_end()
        idle.writer.close()

    run(main(), within=8)
