"""A client that knows HTTP from the outside only, and what it asks."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import NamedTuple

from smallest_proto.wav import wav_file
from smallest_transports.loopback import serve
from sockets import run

WAV = wav_file(bytes(64000), 16000)
SPEAK = json.dumps({"voice_id": "meher", "text": "Good morning.", "sample_rate": 24000}).encode()
BATCH = "/waves/v1/stt/?model=pulse&language=en&word_timestamps=true"


class Answered(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> object:
        return json.loads(self.body)


class Client:
    """One connection of a client that knows HTTP from the outside only."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def __aenter__(self) -> "Client":
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()

    def ask(self, method: str, target: str, body: bytes = b"", **headers: str) -> None:
        lines = [f"{method} {target} HTTP/1.1", "Host: x"]
        lines += [] if "Transfer_Encoding" in headers else [f"Content-Length: {len(body)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    async def answer(self) -> Answered:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        status, *lines = head.strip().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        if "content-length" in headers:
            body = await self.reader.readexactly(int(headers["content-length"]))
        else:
            body = b"".join([piece async for piece in self.chunks()])
        return Answered(int(status.split()[1]), headers, body)

    async def chunks(self) -> AsyncIterator[bytes]:
        while size := int((await self.reader.readline()).strip(), 16):
            yield await self.reader.readexactly(size)
            await self.reader.readexactly(2)
        await self.reader.readexactly(2)

    async def exchange(self, method: str, target: str, body: bytes = b"", **headers: str) -> Answered:
        self.ask(method, target, body, **headers)
        return await self.answer()

    async def at_end(self) -> bool:
        return await self.reader.read() == b""


async def connected(port: int) -> Client:
    return Client(*await asyncio.open_connection("127.0.0.1", port))


def asked_once(
    method: str, target: str, body: bytes = b"", *, api_key: str | None = None, **headers: str
) -> Answered:
    """What a fresh server answers to one request."""

    async def main() -> Answered:
        async with serve(api_key=api_key) as server, await connected(server.port) as client:
            return await client.exchange(method, target, body, **headers)

    return run(main())
