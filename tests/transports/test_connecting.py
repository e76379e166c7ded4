"""Connections that do not come about, on every loop: the same error with the same words, in time."""

import anyio
import pytest

from loops import EVERY_LOOP, Net
from smallest_proto.errors import ConnectFailed, DeadlineExceeded, ProtocolError
from sockets import deaf_port, free_port


def connecting(net: Net, url: str, **connect: object) -> ProtocolError:
    """What connecting to `url` raises."""

    async def main() -> None:
        async with net.on.connect_pulse(**net.to(url, **connect)):
            pass

    with pytest.raises(ProtocolError) as caught:
        net.run(main, within=30)
    assert caught.value.__cause__ is None
    return caught.value


@EVERY_LOOP
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_refused_connection(net: Net, scheme: str) -> None:
    port = free_port()
    error = connecting(net, f"{scheme}://127.0.0.1:{port}")
    assert error == ConnectFailed(
        f"cannot connect to 127.0.0.1 port {port}: Connection refused", code="connect", retryable=True
    )


@EVERY_LOOP
def test_a_name_that_has_no_address(net: Net) -> None:
    error = connecting(net, "http://nobody.invalid:80")  # RFC 6761: it never has one
    assert type(error) is ConnectFailed
    assert str(error).startswith("cannot connect to nobody.invalid port 80: ")
    assert (error.code, error.retryable) == ("connect", True)


@EVERY_LOOP
@pytest.mark.parametrize("host", ["a" * 64, "a..b"])
def test_a_name_that_no_host_can_have(net: Net, host: str) -> None:
    error = connecting(net, f"http://{host}:80")
    assert error == ConnectFailed(
        f"cannot connect to {host} port 80: no host can have this name", code="connect", retryable=False
    )


@EVERY_LOOP
def test_a_connection_that_does_not_come_about_in_time(net: Net) -> None:
    with deaf_port() as port:
        error = connecting(net, f"http://127.0.0.1:{port}", connect_timeout=0.2)
    assert error == DeadlineExceeded(
        f"no connection to 127.0.0.1 port {port} within 0.2 s", code="connect", retryable=True
    )


@EVERY_LOOP
def test_a_connection_given_up_leaves_nothing_open(net: Net) -> None:
    async def main() -> None:
        with anyio.move_on_after(0.1) as scope:
            async with net.on.connect_pulse(**net.to(f"http://127.0.0.1:{port}", connect_timeout=None)):
                pass
        assert scope.cancelled_caught

    with deaf_port() as port:
        net.run(main)
