"""Keys are asked for, and a refusal reaches a client that is still sending."""

import pytest

from loopback.over_http.clients import BATCH, WAV, asked_once, connected
from smallest_proto.errors import ServerError
from smallest_proto.limits import Limits
from smallest_proto.pulse import BatchPcm
from smallest_transports.asyncio import transcribe
from smallest_transports.loopback import serve
from sockets import run


def test_the_key_is_asked_for() -> None:
    for given, body in (
        ({}, {"message": "Unauthorized: No tokens provided"}),
        ({"Authorization": "Bearer wrong"}, {"error": "unauthorized"}),
        ({"Authorization": "Bearer sch\u00fcssel"}, {"error": "unauthorized"}),
    ):
        found = asked_once("POST", BATCH, WAV, api_key="right", Content_Type="audio/wav", **given)
        assert (found.status, found.json) == (401, body)
        assert found.headers["x-request-id"]
    right = asked_once(
        "POST", BATCH, WAV, api_key="right", Authorization="Bearer right", Content_Type="audio/wav"
    )
    assert right.status == 200


def test_a_connection_outlives_a_wrong_key() -> None:
    async def main() -> None:
        async with serve(api_key="right") as server, await connected(server.port) as client:
            for key, status in (("wrong", 401), ("right", 200), ("wrong", 401), ("right", 200)):
                found = await client.exchange(
                    "GET", "/lightning-v3.1/get_voices", Authorization=f"Bearer {key}"
                )
                assert found.status == status

    run(main())


def test_a_refusal_reaches_a_client_that_is_still_sending() -> None:
    async def main(expected: int, **given: object) -> None:
        async with serve(**given) as server:  # type: ignore[arg-type]  # as given
            for _ in range(5):
                with pytest.raises(ServerError) as caught:
                    await transcribe(BatchPcm(bytes(20_000_000), 16000), base_url=server.url, api_key="wrong")
                assert caught.value.status == expected

    run(main(401, api_key="right"))
    run(main(413, limits=Limits(max_request_body=1000)))


def test_the_server_reads_on_after_a_refusal() -> None:
    """Hanging up on a client that still sends can take the answer from it."""

    async def main() -> None:
        async with (
            serve(limits=Limits(max_request_body=1000)) as server,
            await connected(server.port) as client,
        ):
            client.ask("POST", "/waves/v1/tts", Content_Type="audio/wav", Transfer_Encoding="chunked")
            client.writer.write(b"1000\r\n" + bytes(0x1000))
            assert (await client.answer()).status == 413
            for _ in range(20):
                client.writer.write(bytes(1_000_000))
                await client.writer.drain()

    run(main())
