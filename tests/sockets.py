"""Real sockets for tests: a runner that lets nothing be left behind, a server whose every byte is the test's."""

from __future__ import annotations

import asyncio
import gc
import json
import socket
import struct
import warnings
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from ssl import SSLContext
from typing import Any, TypeVar

from wsproto.utilities import generate_accept_token

from smallest_proto.limits import Limits

T = TypeVar("T")

WITHIN = 20.0
"""Seconds after which a test that waits has failed."""

QUICK = Limits(handshake_timeout=0.3, close_timeout=0.05, drain_timeout=0.3, pong_timeout=0.1)
"""Deadlines that a test can wait for."""

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


def run(main: Coroutine[Any, Any, T], within: float = WITHIN) -> T:
    """Run `main` in asyncio's debug mode; fails when it hangs, complains, or leaves a task or a socket."""
    complaints: list[dict[str, Any]] = []

    async def bounded() -> T:
        loop = asyncio.get_running_loop()
        loop.slow_callback_duration = 60.0
        loop.set_exception_handler(lambda _, context: complaints.append(context))
        before = open_fds(loop)
        async with asyncio.timeout(within):
            result = await main
        async with asyncio.timeout(within):
            while left := (asyncio.all_tasks() - {asyncio.current_task()}):
                if not any(task.done() or task.cancelling() for task in left):
                    raise AssertionError(f"tasks left behind: {left}")
                await asyncio.sleep(0)
            for _ in range(5):  # a closed transport leaves the loop a turn or two later
                await asyncio.sleep(0)
        assert open_fds(loop) == before, "sockets left behind"
        return result

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = asyncio.run(bounded(), debug=True)
        gc.collect()  # tasks whose exception nobody saw complain now
    assert not complaints, complaints
    return result


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
    return port


@contextmanager
def deaf_port() -> Iterator[int]:
    """A port whose queue of connections is full: a further one gets no answer at all."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for sock in waiting:
            sock.setblocking(False)
            sock.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]
        for sock in waiting:
            sock.close()


async def until(condition: Callable[[], object]) -> None:
    """Wait for what another thread or task brings about, and that nothing announces."""
    async with asyncio.timeout(WITHIN):
        while not condition():  # noqa: ASYNC110  # a thread's doing, or an engine's, sets no asyncio.Event
            await asyncio.sleep(0.001)


async def stall(progress: Callable[[], int], most: int) -> None:
    """Wait until a count has begun to grow and grows no further; fails once it is beyond `most`."""
    before = 0
    while (now := progress()) != before or not now:
        assert now < most, "nothing held it back"
        before = now
        await asyncio.sleep(0.2)  # enough for many megabytes, were nothing in the way


def open_fds(loop: asyncio.AbstractEventLoop) -> set[int]:
    """The file descriptors that the loop watches."""
    selector = loop._selector  # type: ignore[attr-defined]  # there is no public view
    return set(selector.get_map())


@contextmanager
def hosted(server: AbstractAsyncContextManager[T]) -> Iterator[T]:
    """Run a server in a thread with a loop of its own, for clients that run their own loop."""
    ready: Future[tuple[T, asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def main() -> None:
        async with server as value:
            stop = asyncio.Event()
            ready.set_result((value, asyncio.get_running_loop(), stop))
            await stop.wait()

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(asyncio.run, main())
        running.add_done_callback(lambda _: ready.done() or ready.cancel())
        with suppress(CancelledError):
            ready.result(WITHIN)
        if ready.cancelled():
            running.result()
        value, loop, stop = ready.result()
        try:
            yield value
        finally:
            loop.call_soon_threadsafe(stop.set)
            running.result(WITHIN)


class Peer:
    """One accepted connection of a raw server: the misbehaving end."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.request = ""
        self.whole = True
        """Whether what was read so far ended where a frame ends."""

    async def read_request(self) -> str:
        """The upgrade request as text."""
        self.request = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        return self.request

    async def accept(self) -> None:
        """Read the upgrade request and answer 101."""
        request = await self.read_request()
        lines = dict(line.split(": ", 1) for line in request.split("\r\n")[1:] if line)
        key = generate_accept_token(lines["Sec-WebSocket-Key"].encode()).decode()
        self.send(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            + f"Sec-WebSocket-Accept: {key}\r\n\r\n".encode()
        )

    async def refuse(self, status: int, body: bytes = b"", **headers: str) -> None:
        """Read the upgrade request and answer something else; `_` in a header's name stands for `-`."""
        await self.read_request()
        lines = [f"HTTP/1.1 {status} No", f"Content-Length: {len(body)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.send("\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    def send(self, data: bytes) -> None:
        """Write these bytes."""
        self.writer.write(data)

    async def pour(self, data: bytes, written: list[int] | None = None) -> None:
        """Write these bytes again and again, as fast as the client reads, until it has gone; notes their size."""
        while not self.writer.is_closing():
            self.send(data)
            await self.writer.drain()
            await asyncio.sleep(0)  # asyncio's TLS learns of the end in between, and would write for ever
            if written is not None:
                written.append(len(data))

    def text(self, message: object) -> None:
        """Write a text message: a str as it is, anything else as JSON."""
        payload = message if isinstance(message, str) else json.dumps(message)
        self.send(frame(TEXT, payload.encode()))

    def close_frame(self, code: int, reason: str = "") -> None:
        """Write a close frame."""
        self.send(frame(CLOSE, struct.pack("!H", code) + reason.encode()))

    def stop_reading(self) -> None:
        """Take nothing more from the socket, so that the client's writes fill up."""
        self.writer.transport.pause_reading()  # type: ignore[attr-defined]  # a transport for both ways

    def go_on_reading(self) -> None:
        """Undo `stop_reading`."""
        self.writer.transport.resume_reading()  # type: ignore[attr-defined]  # a transport for both ways

    def reset(self) -> None:
        """End the connection with RST, as a crashed machine or a firewall does."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def frame(self) -> tuple[int, bytes]:
        """The next frame of the client: opcode and payload."""
        try:
            head = await self.reader.readexactly(2)
        except asyncio.IncompleteReadError as end:
            self.whole = not end.partial
            raise
        self.whole = False
        size = head[1] & 0x7F
        if size == 126:
            size = int.from_bytes(await self.reader.readexactly(2))
        elif size == 127:
            size = int.from_bytes(await self.reader.readexactly(8))
        mask = await self.reader.readexactly(4)
        payload = await self.reader.readexactly(size)
        self.whole = True
        return head[0] & 0x0F, _unmasked(payload, mask)

    async def until(self, wanted: str) -> None:
        """Read frames up to the text message that holds these words."""
        while True:
            opcode, payload = await self.frame()
            if opcode == TEXT and wanted in payload.decode():
                return

    async def until_gone(self) -> None:
        """Read until the client has hung up."""
        try:
            while await self.reader.read(65536):
                pass
        except ConnectionError:
            pass


def _unmasked(payload: bytes, mask: bytes) -> bytes:
    key = int.from_bytes((mask * (len(payload) // 4 + 1))[: len(payload)])
    return (int.from_bytes(payload) ^ key).to_bytes(len(payload))


def frame(opcode: int, payload: bytes, *, masked: bool = False, final: bool = True) -> bytes:
    """One WebSocket frame."""
    first = opcode | (0x80 if final else 0)
    flag = 0x80 if masked else 0
    if len(payload) < 126:
        head = struct.pack("!BB", first, flag | len(payload))
    elif len(payload) < 65536:
        head = struct.pack("!BBH", first, flag | 126, len(payload))
    else:
        head = struct.pack("!BBQ", first, flag | 127, len(payload))
    return head + (bytes(4) if masked else b"") + payload


class Peers:
    """A raw server's behaviour that differs from connection to connection, and how many there were."""

    def __init__(self, *behave: Callable[[Peer], Awaitable[None]]) -> None:
        self._behave = behave
        self.count = 0

    async def __call__(self, peer: Peer) -> None:
        self.count += 1
        await self._behave[min(self.count, len(self._behave)) - 1](peer)


@asynccontextmanager
async def raw_server(
    behave: Callable[[Peer], Awaitable[None]], *, ssl: SSLContext | None = None
) -> AsyncIterator[str]:
    """A server on 127.0.0.1 that treats each client as `behave` says, then hangs up. Yields its base URL.

    What `behave` raises, other than for a client that left, fails the test.
    """
    tasks: set[asyncio.Task[None]] = set()
    peers: list[Peer] = []

    async def serve(peer: Peer) -> None:
        try:
            await behave(peer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            peer.writer.close()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(reader, writer)
        peers.append(peer)
        tasks.add(asyncio.create_task(serve(peer)))

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=ssl)
    try:
        host, port = server.sockets[0].getsockname()
        scheme = "http" if ssl is None else "https"
        yield f"{scheme}://{host if ssl is None else 'localhost'}:{port}"
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        with suppress(TimeoutError):  # clients that left at once: asyncio is still busy accepting them
            async with asyncio.timeout(0.5):
                while _accepting():  # noqa: ASYNC110
                    await asyncio.sleep(0.001)
        for peer in peers:
            peer.writer.transport.abort()
        for _ in range(5):
            await asyncio.sleep(0)
    failures = [r for r in results if isinstance(r, Exception)]
    if failures:
        raise failures[0]


def _accepting() -> bool:
    return any("_accept_connection" in repr(task.get_coro()) for task in asyncio.all_tasks())


def transcript(text: str, *, is_final: bool = True, is_last: bool = False) -> dict[str, object]:
    """A message of Pulse."""
    return {
        "type": "transcription",
        "status": "success",
        "session_id": "s1",
        "transcript": text,
        "is_final": is_final,
        "is_last": is_last,
    }


def chunk(pcm: bytes, request_id: str = "r1") -> dict[str, object]:
    """A message of Lightning with audio."""
    return {
        "session_id": "s1",
        "request_id": request_id,
        "status": "chunk",
        "data": {"audio": b64encode(pcm).decode()},
    }


def complete(request_id: str = "r1") -> dict[str, object]:
    """Lightning's word for the end."""
    return {"session_id": "s1", "request_id": request_id, "status": "complete"}
