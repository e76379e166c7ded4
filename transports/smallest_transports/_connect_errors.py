"""What the operating system says of a connection that does not come about, in our words, on every loop."""

from __future__ import annotations

import os
from socket import gaierror

from smallest_proto.errors import ConnectFailed, DeadlineExceeded


def cannot_connect(host: str, port: int, error: OSError | UnicodeError) -> ConnectFailed:
    """The name look-up or every address failed; `error` is the last failure."""
    where = f"cannot connect to {host} port {port}"
    if isinstance(error, UnicodeError):  # a label that is empty or too long: the name is not even looked up
        return ConnectFailed(f"{where}: no host can have this name", code="connect", retryable=False)
    cause = error.strerror or str(error) or type(error).__name__
    if error.errno is not None and not isinstance(error, gaierror):
        cause = os.strerror(error.errno)  # a loop's words repeat the address
    return ConnectFailed(f"{where}: {cause}", code="connect")


def too_late(host: str, port: int, timeout: float | None) -> DeadlineExceeded:
    """Nothing answered within `timeout` seconds."""
    return DeadlineExceeded(f"no connection to {host} port {port} within {timeout:g} s", code="connect")
