"""Text spoken while it is written: one `SynthesizeStream` is one segment on one connection."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from livekit.agents import APIConnectOptions, APIError, tts
from livekit.agents.types import TimedString
from livekit.agents.utils import shortuuid

from livekit.plugins.smallest._errors import api_error
from livekit.plugins.smallest.log import logger
from livekit.plugins.smallest.sockets import LightningStream, SpeechContext
from livekit.plugins.smallest.tts_options import NO_AUDIO, with_timeout
from smallest_proto.errors import DeadlineExceeded, LocalProtocolError, ProtocolError
from smallest_proto.lightning import AudioChunk, ContextComplete, WordTimestamp

if TYPE_CHECKING:
    from livekit.plugins.smallest.tts import TTS


class SynthesizeStream(tts.SynthesizeStream):
    """Push text, end the input, iterate over audio; made by `TTS.stream`. Options are those of that moment.

    Text goes out as it is pushed, unless the mode is `segment`; what follows the first flush is not read, as the
    framework wants a stream for each segment. Audio that came before a failure is handed out before its error.
    """

    def __init__(self, *, tts: TTS, conn_options: APIConnectOptions) -> None:
        super().__init__(tts=tts, conn_options=conn_options)
        self._options = with_timeout(tts.lightning_options, conn_options.timeout)
        self._connections = tts.connections

    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        segment_id = shortuuid()  # also the context's id, so that the vendor can find it [lk 1.8.9]
        output_emitter.initialize(
            request_id=segment_id,
            sample_rate=self._options.sample_rate,
            num_channels=1,
            mime_type="audio/pcm",
            stream=True,
        )
        first = await self._first_text()
        if not first:
            return
        try:
            await self._speak(first, segment_id, output_emitter)
        except* ProtocolError as group:
            error = api_error(_root(group))
        else:
            if not output_emitter.num_segments:
                raise APIError(NO_AUDIO)
            output_emitter.end_segment()
            self._connections.prewarm(self._options, self._conn_options.timeout)
            return
        if output_emitter.num_segments:
            output_emitter.end_input()
            await output_emitter.join()  # or the framework drops what it has not cut into frames yet
        raise error from None

    async def _speak(self, first: str, segment_id: str, output: tts.AudioEmitter) -> None:
        begun = time.perf_counter()
        stream, self._connection_reused = await self._connections.acquire(
            self._options, self._conn_options.timeout
        )
        self._acquire_time = time.perf_counter() - begun
        try:
            if self._options.text_mode == "segment":
                text = first + "".join([piece async for piece in self._rest()])
                await self._hear(await self._say(stream, text), segment_id, output)
                return
            context = await stream.open_context(segment_id)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._say_pieces(context, first))
                await self._hear(context, segment_id, output)
        finally:
            self._connections.give_back(stream)

    async def _say(self, stream: LightningStream, text: str) -> SpeechContext:
        self._mark_started()
        return await stream.speak(text.strip())

    async def _say_pieces(self, context: SpeechContext, first: str) -> None:
        self._mark_started()
        await context.send_text(first)
        async for piece in self._rest():
            await context.send_text(piece)
        await context.finish()

    async def _hear(self, context: SpeechContext, segment_id: str, output: tts.AudioEmitter) -> None:
        """Hand on what comes, to the end of the segment."""
        async for event in context:
            match event:
                case AudioChunk():
                    if not output.num_segments:
                        output.start_segment(segment_id=segment_id)
                    output.push(event.pcm)
                case WordTimestamp():
                    # joined, these are the transcript: a word brings the blank after it
                    output.push_timed_transcript(
                        TimedString(f"{event.word} ", start_time=event.start, end_time=event.end)
                    )
                case ContextComplete(confirmed=False):
                    self._unconfirmed()

    def _unconfirmed(self) -> None:
        """The server fell silent. Contexts are not sure to be confirmed [lk 1.8.9]; any other speech is."""
        if self._options.text_mode != "context":
            raise DeadlineExceeded(
                f"no word for {self._options.silence_limit} s in the middle of speech", code="idle"
            )
        logger.warning("the server fell silent without a word for the end; taken as the end of the segment")

    async def _first_text(self) -> str:
        """The first text that is more than blanks; "" when there is none. What does not speak sends nothing."""
        async for piece in self._input_ch:
            if isinstance(piece, str) and piece.strip():
                return piece
        return ""

    async def _rest(self) -> AsyncIterator[str]:
        """The text up to the first flush."""
        async for piece in self._input_ch:
            if not isinstance(piece, str):
                return
            yield piece


def _root(group: BaseExceptionGroup[ProtocolError]) -> ProtocolError:
    """What went wrong: what the server did, rather than that text could not be sent after it."""
    causes = [error for error in group.exceptions if isinstance(error, ProtocolError)]
    return next((cause for cause in causes if not isinstance(cause, LocalProtocolError)), causes[0])
