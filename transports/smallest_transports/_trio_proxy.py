"""SOCKS5 on trio, by python-socks. Only imported when a SOCKS5 proxy is in use."""

from __future__ import annotations

import math

from python_socks import ProxyError, ProxyType
from python_socks.async_.trio import Proxy as PythonSocks
from trio.socket import SocketType

from smallest_transports._proxy import Proxy
from smallest_transports._socks import cannot_reach, no_tunnel
from smallest_transports._trio_dial import dial


class _Dialled(PythonSocks):
    """The hop before the proxy: a plain connection, made as all others are; python-socks tries one address only."""

    async def connect(
        self, dest_host: str, dest_port: int, timeout: float | None = None, **kwargs: object
    ) -> SocketType:
        """Python-socks's call: connect to the proxy."""
        try:
            return await dial(dest_host, dest_port)
        except (OSError, UnicodeError) as error:
            raise cannot_reach(dest_host, dest_port, error) from None


async def dial_socks(proxy: Proxy, host: str, port: int) -> SocketType:
    """A socket that `proxy` has connected to `host`. Raises ConnectFailed with code `proxy`."""
    try:
        return await _client(proxy).connect(host, port, timeout=math.inf)
    except (ProxyError, OSError, ValueError) as error:
        failure = no_tunnel(proxy, error)
    raise failure  # out here its context is not what python-socks raised, whose frames hold the credentials


def _client(proxy: Proxy) -> PythonSocks:
    user, password = (part.decode() for part in proxy.credentials or (b"", b""))
    first = _Dialled(ProxyType.SOCKS5, proxy.host, proxy.port)
    return PythonSocks(ProxyType.SOCKS5, proxy.host, proxy.port, user, password, rdns=True, forward=first)
