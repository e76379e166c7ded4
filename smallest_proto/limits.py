"""Every size and waiting time in one place, each with the reason for its default."""

from __future__ import annotations

import msgspec

from smallest_proto import checks


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds on what a peer can make us hold, and on how long it can make us wait.

    Sizes are bytes, times are seconds. A time of None switches that deadline off, but for `pong_timeout`.
    Raises ValueError, naming the field, for a value that is not positive.
    """

    max_message_bytes: int = 4 * 1024 * 1024
    """One WebSocket message or server-sent event. A long transcript is kilobytes and a speech chunk about
    13 kB; 4 MiB is what common WebSocket clients accept."""

    max_handshake_bytes: int = 16 * 1024
    """Request line or status line plus headers. h11's own default, and more than proxies let through."""

    max_headers: int = 128
    """Headers of one HTTP request or response. Proxies add a dozen or two; 100 is common elsewhere."""

    max_error_body: int = 64 * 1024
    """Body kept of a rejected upgrade or another error status. They are short JSON; the rest is not read."""

    max_request_body: int = 250 * 1000 * 1000
    """Body of a request that a server takes: the service's limit for recordings [openapi stt]."""

    max_fragments: int = 16 * 1024
    """Frames in one message. An endless row of empty ones would never meet the size limit."""

    handshake_timeout: float | None = 10.0
    """From the request to the end of the 101, or of the refusal's body. The connect timeout of [seed].
    A server gives the head of an HTTP request as long, from its first byte."""

    response_timeout: float | None = 30.0
    """From the end of an HTTP request to the head of its response, writing included. What [seed] gives a
    recording in all; long ones need more, as the service takes up to 10 minutes."""

    idle_timeout: float | None = 10.0
    """From one piece of an HTTP body to the next. What [seed] gives a spoken answer in all."""

    keep_alive_timeout: float | None = 75.0
    """How long a server keeps an HTTP connection without a request. More than clients keep theirs idle."""

    close_timeout: float | None = 2.0
    """From our close frame to the peer's. A peer that is gone must not delay the caller for long."""

    pong_timeout: float | None = None
    """From a ping to any byte of the peer. None means half the heartbeat, as aiohttp does for [seed]."""

    websocket_idle_timeout: float | None = None
    """From one byte of a WebSocket's peer to the next, answers to pings included. None, as speech may pause for
    as long as it likes, and heartbeats find out who is gone."""

    drain_timeout: float | None = 10.0
    """From close_stream, or from the last message after it, to is_last. [seed] waits for ever."""

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if name.startswith("max_"):
                checks.integer(name, value, 1)
            elif value is not None:
                checks.positive(name, value)
