"""The public functions, written once; each loop's module binds them to its backend."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Literal, TypeVar, Unpack

from smallest_proto.lightning import LightningOptions, OutputFormat, Voice
from smallest_proto.lightning.decode import Base64
from smallest_proto.pulse import (
    BatchAccepted,
    BatchOptions,
    BatchResult,
    BatchSource,
    PulseOptions,
    ResumePolicy,
)
from smallest_transports import _http
from smallest_transports._backend import Backend
from smallest_transports._connect import ConnectOptions, open_link, settings
from smallest_transports._http import SpeechStream
from smallest_transports._lightning import LightningStream
from smallest_transports._pool import LightningPool
from smallest_transports._pulse import PulseStream
from smallest_transports._retry import repeat
from smallest_transports._session import Opener

T = TypeVar("T")


class Functions:
    """What a user calls, on one event loop; `opener` carries its WebSockets, `base64` decodes their speech."""

    def __init__(self, backend: Backend, opener: Opener = open_link, base64: Base64 | None = None) -> None:
        self._backend = backend
        self._opener = opener
        self._base64 = base64

    def connect_pulse(
        self,
        options: PulseOptions = PulseOptions(),
        *,
        resume: bool | ResumePolicy = True,
        **connect: Unpack[ConnectOptions],
    ) -> PulseStream:
        """A Pulse stream to use with `async with`, which connects it; the keyword arguments are `ConnectOptions`.

        It outlives its connections: see `PulseStream` for `resume`. Raises ValueError for a missing key, or a
        base URL or header that cannot be sent.
        """
        return PulseStream(self._backend, options, settings(connect), resume, self._opener)

    def connect_lightning(
        self, options: LightningOptions = LightningOptions(), **connect: Unpack[ConnectOptions]
    ) -> LightningStream:
        """A Lightning connection to use with `async with`; otherwise as `connect_pulse`."""
        return LightningStream(self._backend, options, settings(connect), self._opener, self._base64)

    def lightning_pool(
        self,
        options: LightningOptions = LightningOptions(),
        *,
        max_connections: int = 1,
        resume: bool = True,
        **connect: Unpack[ConnectOptions],
    ) -> LightningPool:
        """Lightning connections that are kept open for one text after the other: use it with `async with`.

        At most `max_connections` speak at a time, whoever asks first; the service allows few for each account.
        `resume` False raises when a connection fails, instead of going on over another one.
        """
        return LightningPool(
            self._backend,
            options,
            settings(connect),
            max_connections,
            resume,
            self._opener,
            self._base64,
        )

    async def retry(
        self,
        call: Callable[[], Awaitable[T]],
        *,
        attempts: int = 4,
        first_delay: float = 0.5,
        longest_delay: float = 30.0,
    ) -> T:
        """Await `call()` until it succeeds, up to so many times, and only after errors that are `retryable`.

        await retry(lambda: transcribe(BatchAudio(file), api_key=key))

        Waits a random time (seconds) below a limit that doubles, and no less than the server's Retry-After, unless
        that is over a minute; a server fault, status 500, is worth one more attempt [docs error-reference]. Raises
        the last error.
        """
        return await repeat(self._backend, call, attempts, first_delay, longest_delay)

    async def transcribe(
        self, source: BatchSource, options: BatchOptions = BatchOptions(), **connect: Unpack[ConnectOptions]
    ) -> BatchResult | BatchAccepted:
        """Transcribe a whole recording over HTTP; `BatchAccepted` when the result goes to `options.webhook_url`.

        A long recording needs `Limits(response_timeout=...)`: seconds for the upload and the work together. Raises
        ValueError as `connect_pulse` and `batch_request` do; ServerError for a refusal, and ConnectFailed,
        ConnectionLost, DeadlineExceeded or RemoteProtocolError.
        """
        return await _http.transcribe(self._backend, source, options, settings(connect))

    def synthesize(
        self,
        text: str,
        options: LightningOptions = LightningOptions(),
        *,
        output_format: OutputFormat = "pcm",
        via: Literal["http", "sse"] = "http",
        **connect: Unpack[ConnectOptions],
    ) -> SpeechStream:
        """A text spoken over HTTP, or as server-sent events, which carry `pcm` only: use it with `async with`.

        async with synthesize("Good morning.") as speech:
            async for event in speech: ...  # AudioChunk, or EncodedAudio for other formats; SpeechComplete is last

        Raises ValueError as `connect_pulse` and `speech_request` do, and for any other format over "sse".
        """
        return SpeechStream(self._backend, text, options, output_format, via, settings(connect))

    async def list_voices(self, **connect: Unpack[ConnectOptions]) -> tuple[Voice, ...]:
        """The catalogue of voices. Raises as `transcribe` does."""
        return await _http.list_voices(self._backend, settings(connect))
