"""Where the plugin meets our transports: the only place that knows which one carries a stream or a recording."""

from __future__ import annotations

from typing import TYPE_CHECKING

from livekit.plugins.smallest import sockets
from livekit.plugins.smallest.headers import HEADERS
from smallest_proto.endpoints import split_base_url
from smallest_proto.limits import Limits
from smallest_proto.pulse import (
    BatchAccepted,
    BatchOptions,
    BatchResult,
    BatchSource,
    PulseOptions,
    ResumePolicy,
    batch_request,
)
from smallest_transports._connect import find_key
from smallest_transports._pulse import PulseStream

if TYPE_CHECKING:
    import aiohttp


class Service:
    """The service that an `STT` talks to: URL, key, and the aiohttp session that was given, if one was.

    Raises ValueError for a base URL that is none, and for a missing key.
    """

    def __init__(self, base_url: str, api_key: str | None, session: aiohttp.ClientSession | None) -> None:
        split_base_url(base_url)
        self._base_url = base_url
        self._api_key = find_key(api_key or None, base_url)
        self._session = session

    def stream(
        self, options: PulseOptions, limits: Limits, connect_timeout: float, resume: bool | ResumePolicy
    ) -> PulseStream:
        """A stream to use with `async with`, which connects it; `connect_timeout` (seconds) bounds each dial."""
        key = None if self._api_key is None else self._api_key.reveal()
        if self._session is None:
            return sockets.connect_pulse(
                options,
                api_key=key,
                base_url=self._base_url,
                headers=HEADERS,
                limits=limits,
                connect_timeout=connect_timeout,
                resume=resume,
            )
        from smallest_transports.aiohttp import connect_pulse

        return connect_pulse(
            options,
            session=self._session,
            resume=resume,
            api_key=key,
            base_url=self._base_url,
            headers=HEADERS,
            limits=limits,
        )

    async def transcribe(
        self, source: BatchSource, options: BatchOptions, limits: Limits, connect_timeout: float
    ) -> BatchResult | BatchAccepted:
        """One recording's transcript. Raises ProtocolError."""
        if self._session is None:
            return await sockets.transcribe(
                source,
                options,
                api_key=None if self._api_key is None else self._api_key.reveal(),
                base_url=self._base_url,
                headers=HEADERS,
                limits=limits,
                connect_timeout=connect_timeout,
            )
        from livekit.plugins.smallest.session_http import transcribe_over

        request = batch_request(
            source, options, api_key=self._api_key, base_url=self._base_url, headers=HEADERS
        )
        return await transcribe_over(self._session, request, options, connect_timeout)
