"""What python-socks says of a SOCKS5 proxy that gave no tunnel, in our words. It knows no deadline and no loop.

Only imported when a SOCKS5 proxy is in use.
"""

from __future__ import annotations

import os

from python_socks import ProxyError

from smallest_proto.errors import ConnectFailed
from smallest_transports._connect_errors import cannot_connect
from smallest_transports._proxy import Proxy

ANSWERS: dict[int, tuple[str, bool]] = {  # RFC 1928, 6; and whether to ask again may help
    1: ("failed", True),
    2: ("does not allow this connection", False),
    3: ("cannot connect: network unreachable", True),
    4: ("cannot connect: host unreachable", True),
    5: ("cannot connect: connection refused", True),
    6: ("cannot connect: TTL expired", True),
    7: ("knows no such command", False),
    8: ("knows no addresses of this type", False),
}

_ABOUT_CREDENTIALS = (
    "Username and password authentication failure",
    "No acceptable authentication methods were offered",
)
_HUNG_UP = "Connection closed unexpectedly"


def cannot_reach(host: str, port: int, error: OSError | UnicodeError) -> ConnectFailed:
    """There is no connection to the proxy itself."""
    failure = cannot_connect(host, port, error)
    return ConnectFailed(f"proxy: {failure}", code="proxy", retryable=failure.retryable)


def no_tunnel(proxy: Proxy, error: ProxyError | OSError | ValueError) -> ConnectFailed:
    """What python-socks raised once the connection to the proxy stood; ValueError for what it could not decode."""
    if isinstance(error, OSError):
        return proxy.failed(f"hung up: {os.strerror(error.errno)}" if error.errno else "hung up")
    if not isinstance(error, ProxyError):
        return proxy.failed("does not answer as a SOCKS5 proxy does")
    if error.error_code in ANSWERS:
        cause, retryable = ANSWERS[error.error_code]
        return proxy.failed(cause, retryable=retryable)
    words = str(error)
    if words in _ABOUT_CREDENTIALS:
        return proxy.wants_other_credentials()
    return proxy.failed("hung up" if words == _HUNG_UP else "does not answer as a SOCKS5 proxy does")
