"""A whole text spoken over HTTP, in any of the service's formats."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING

import aiohttp
from livekit.agents import APIConnectOptions, APIError, tts
from livekit.agents.utils import shortuuid

from livekit.plugins.smallest._errors import api_error
from livekit.plugins.smallest.g711_expand import expand
from livekit.plugins.smallest.headers import HEADERS
from livekit.plugins.smallest.session_http import speech_over
from livekit.plugins.smallest.sockets import synthesize
from livekit.plugins.smallest.tts_options import NO_AUDIO
from smallest_proto.errors import ProtocolError
from smallest_proto.lightning import AudioChunk, EncodedAudio
from smallest_proto.limits import Limits

if TYPE_CHECKING:
    from livekit.plugins.smallest.tts import TTS


class ChunkedStream(tts.ChunkedStream):
    """Iterate over the audio of one text; made by `TTS.synthesize`. Options are those of that moment.

    Audio that came before a failure is handed out before its error; such a failure is not retried, for the
    beginning would be heard twice.
    """

    def __init__(self, *, tts: TTS, input_text: str, conn_options: APIConnectOptions) -> None:
        super().__init__(tts=tts, input_text=input_text, conn_options=conn_options)
        self._options = tts.lightning_options
        self._format = tts.output_format
        self._server = tts.server

    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        output_emitter.initialize(
            request_id=shortuuid(),
            sample_rate=self._options.sample_rate,
            num_channels=1,
            mime_type=f"audio/{'pcm' if self._format in ('ulaw', 'alaw') else self._format}",
        )
        if not self._input_text.strip():
            return
        heard = False
        try:
            async with aclosing(self._speech()) as speech:
                async for event in speech:
                    heard = True
                    output_emitter.push(self._playable(event))
            if not heard:
                raise APIError(NO_AUDIO)
            return
        except ProtocolError as failure:
            error = api_error(failure)
        if heard:
            output_emitter.end_input()
            await output_emitter.join()  # or the framework drops what it has not cut into frames yet
            error.retryable = False
        raise error from None

    def _playable(self, event: AudioChunk | EncodedAudio) -> bytes:
        """What the framework plays or decodes."""
        if isinstance(event, AudioChunk):
            return event.pcm
        if event.output_format in ("ulaw", "alaw"):
            return expand(event.data, event.output_format)
        return event.data

    def _speech(self) -> AsyncGenerator[AudioChunk | EncodedAudio, None]:
        over = self._server.http_session
        return self._over_socket() if over is None else self._over_session(over)

    async def _over_socket(self) -> AsyncGenerator[AudioChunk | EncodedAudio, None]:
        timeout, server = self._conn_options.timeout, self._server
        limits = Limits(response_timeout=timeout, idle_timeout=timeout)
        begun = time.perf_counter()
        speaking = synthesize(
            self._input_text,
            self._options,
            output_format=self._format,
            api_key=server.key,
            base_url=server.base_url,
            headers=HEADERS,
            limits=limits,
            connect_timeout=timeout,
        )
        async with speaking as stream:
            self._acquire_time = time.perf_counter() - begun
            async for event in stream:
                if isinstance(event, AudioChunk | EncodedAudio):
                    yield event

    def _over_session(
        self, session: aiohttp.ClientSession
    ) -> AsyncGenerator[AudioChunk | EncodedAudio, None]:
        return speech_over(
            session,
            self._input_text,
            self._options,
            self._format,
            self._server,
            self._conn_options.timeout,
        )
