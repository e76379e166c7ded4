"""What only asyncio's backend does itself: which of several addresses it tries, and when. trio has its own way."""

import asyncio
import socket

import pytest

from smallest_proto.errors import ConnectFailed
from smallest_transports._asyncio_dial import by_turns, dial
from smallest_transports.asyncio import connect_pulse
from smallest_transports.loopback import serve
from sockets import deaf_port, free_port, run


def test_a_timeout_of_the_operating_system_is_no_deadline_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    # a kernel takes minutes for this one: it is said in its place
    async def refuse(*_: object) -> None:
        raise TimeoutError(110, "Connection timed out")

    monkeypatch.setattr(asyncio.selector_events.BaseSelectorEventLoop, "sock_connect", refuse)

    async def main() -> None:
        async with connect_pulse(base_url="http://127.0.0.1:1", connect_timeout=None):
            pass

    with pytest.raises(ConnectFailed, match="Connection timed out"):
        run(main())


def test_the_next_address_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    # which names have two addresses depends on the machine: the look-up's answer is put in its place
    async def main() -> None:
        async with serve() as server:
            loop = asyncio.get_running_loop()
            dead, alive = ("127.0.0.1", free_port()), ("127.0.0.1", server.port)

            async def look_up(*_: object, **__: object) -> list[object]:
                return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in (dead, alive)]

            monkeypatch.setattr(loop, "getaddrinfo", look_up)
            async with connect_pulse(base_url=f"http://two.example:{server.port}", api_key="k") as stream:
                await stream.end_input()

    run(main())


def test_an_address_without_an_answer_does_not_hold_up_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(port: int) -> None:
        async with serve() as server:
            addresses = [("127.0.0.1", port), ("127.0.0.1", server.port)]

            async def look_up(*_: object, **__: object) -> list[object]:
                return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in addresses]

            monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", look_up)
            async with connect_pulse(base_url=f"http://two.example:{port}", api_key="k") as stream:
                await stream.end_input()

    with deaf_port() as port:
        run(main(port), within=30)


def test_families_take_turns() -> None:
    six, four = socket.AF_INET6, socket.AF_INET
    found = [(family, 1, 6, "", (str(i), i)) for i, family in enumerate((six, six, six, four, four))]
    assert [address[4][1] for address in by_turns(found)] == [0, 3, 1, 4, 2]
    assert by_turns([]) == []


def test_giving_up_the_slower_address_when_cancelled_leaves_nothing_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def main(port: int) -> None:
        async with serve() as server:
            addresses = [("127.0.0.1", port), ("127.0.0.1", server.port)]

            async def look_up(*_: object, **__: object) -> list[object]:
                return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in addresses]

            monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", look_up)
            before = asyncio.all_tasks()
            task = asyncio.create_task(dial("two.example", port))
            while not any(each.cancelling() for each in asyncio.all_tasks() - before):  # noqa: ASYNC110
                await asyncio.sleep(0)  # until the second address has answered, and the first is given up
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    with deaf_port() as port:
        run(main(port), within=30)
