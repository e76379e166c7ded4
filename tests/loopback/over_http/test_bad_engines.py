"""An engine that fails is an answer, not the end of the server."""

from collections.abc import Sequence

import pytest

from loopback.over_http.clients import BATCH, WAV, connected
from loopback.over_http.engines import Engine, Voice
from smallest_proto.errors import ConnectionLost, ServerError
from smallest_proto.events import Event
from smallest_proto.lightning import AudioChunk
from smallest_proto.limits import Limits
from smallest_proto.pulse import BatchAudio, ErrorMessage
from smallest_proto.pulse.messages import ServerMessage
from smallest_transports.asyncio import list_voices, synthesize, transcribe
from smallest_transports.loopback import serve
from smallest_transports.loopback.engines.base import EngineError
from sockets import run

FAILURES = pytest.mark.parametrize(
    ("error", "message"),
    [(EngineError("no such voice here"), "no such voice here"), (KeyError("a bug"), "the engine failed")],
)


@FAILURES
@pytest.mark.parametrize("call", ["open", "feed", "finish"])
def test_a_recogniser_that_fails_is_a_500(call: str, error: Exception, message: str) -> None:
    engine = Engine(call, error)

    async def main() -> None:
        async with serve(recognizer=engine) as server, await connected(server.port) as client:
            for _ in range(2):  # on one connection
                found = await client.exchange("POST", BATCH, WAV, Content_Type="audio/wav")
                assert found.status == 500
                assert found.json == {"error": "InternalServerError", "message": message}

    run(main())
    assert engine.calls.count("close") == 1 + engine.calls.count("open") * (call != "open")


def test_an_error_message_of_a_recogniser_is_a_500() -> None:
    class Complaining(Engine):
        def finish(self) -> Sequence[ServerMessage]:
            return [ErrorMessage(message="too quiet")]

    async def main() -> None:
        async with serve(recognizer=Complaining()) as server:
            with pytest.raises(ServerError) as caught:
                await transcribe(BatchAudio(WAV), base_url=server.url)
            assert (caught.value.status, caught.value.message) == (500, "too quiet")

    run(main())


@FAILURES
@pytest.mark.parametrize("via", ["http", "sse"])
@pytest.mark.parametrize("pieces", [0, 2])
def test_a_voice_that_fails(via: str, pieces: int, error: Exception, message: str) -> None:
    async def main() -> None:
        patient = Limits(close_timeout=60.0)  # and yet nobody waits for a connection that was cut
        async with serve(synthesizer=Voice(pieces, error), limits=patient) as server:
            heard: list[Event] = []

            async def listen() -> None:
                async with synthesize("Hi", via=via, base_url=server.url) as speech:  # type: ignore[arg-type]  # as given
                    async for event in speech:
                        heard.append(event)

            with pytest.raises((ServerError, ConnectionLost)) as caught:
                await listen()
            assert sum(len(event.pcm) for event in heard if isinstance(event, AudioChunk)) == pieces * 4800
            if isinstance(caught.value, ServerError):
                assert caught.value.message == message
                assert caught.value.status == (None if pieces else 500)
            else:  # a body can only be cut
                assert (via, pieces) == ("http", 2)
            assert await list_voices(base_url=server.url)

    run(main())
