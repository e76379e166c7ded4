"""A stream of speech to text as LiveKit runs it: frames in, speech events out, a new connection when needed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Self, TypeAlias, Unpack, cast

from livekit.agents import APIConnectionError, APIConnectOptions, stt, utils
from livekit.agents.metrics import STTMetrics

from livekit import agents, rtc
from livekit.plugins.smallest._errors import api_error
from livekit.plugins.smallest.audio_input import AudioInput
from livekit.plugins.smallest.channel import Channel
from livekit.plugins.smallest.conversation import Conversation, Ending
from livekit.plugins.smallest.frame_gathering import FrameGathering, GatheredAudio
from livekit.plugins.smallest.log import logger
from livekit.plugins.smallest.pulse_socket import Service
from livekit.plugins.smallest.speech_events import SpeechEvents
from livekit.plugins.smallest.stt_options import ChangeableOptions, SttOptions
from livekit.plugins.smallest.usage_metrics import usage_metrics
from smallest_proto.errors import DeadlineExceeded, ProtocolError
from smallest_proto.limits import Limits
from smallest_proto.pulse import ResumePolicy
from smallest_transports._pulse import PulseStream

if TYPE_CHECKING:
    from livekit.plugins.smallest.stt import STT

_FINAL, _USAGE = stt.SpeechEventType.FINAL_TRANSCRIPT, stt.SpeechEventType.RECOGNITION_USAGE

COUNTS = agents.__version__.startswith("1.8.")
"""Whether the framework is one whose own reader of events is known to do no more than `SpeechStream.tell`.

With any other, that reader stays.
"""

SpeechEvent: TypeAlias = stt.SpeechEvent
Flush: TypeAlias = stt.RecognizeStream._FlushSentinel

SHORTEST_DRAIN = 2.0
"""Seconds of silence, at least, before a server that owes the last final is given up: a final may come 1.6 s
after speech has ended [pipecat 1.14]."""


class SpeechStream(stt.RecognizeStream):
    """One stream; made by `STT.stream`. Use `push_frame`, `flush`, `end_input`, and iterate over its events.

    Unless `resume` is off, another connection takes over a lost one and is sent what no final has covered: the
    turn goes on, and so do the times. Only when none comes about is there an `APIError`, which the framework
    answers by beginning anew, as often as `conn_options.max_retry` says; audio that was not final is lost then.
    The same goes for a first connection that fails. `conn_options.timeout` bounds each dial and, after
    `end_input`, the wait for the server's next message; `conn_options.retry_interval` is the longest wait between
    dials. Once all audio is sent there is nothing to begin anew with: what goes wrong for good then ends the
    stream with its error, as the last words are missing.
    """

    def __init__(
        self,
        *,
        stt: STT,
        options: SttOptions,
        service: Service,
        conn_options: APIConnectOptions,
        resume: bool | ResumePolicy = True,
    ) -> None:
        if resume is True:
            resume = ResumePolicy(longest_delay=conn_options.retry_interval)
        self.options = options
        self.resume = resume
        self.options_changed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._service = service
        self._events = SpeechEvents()
        self._audio: AudioInput | None = None
        self._next_audio: GatheredAudio | None = None
        self._seconds_before = 0.0
        super().__init__(stt=stt, conn_options=conn_options)
        self.input: Channel[GatheredAudio | Flush] = Channel()  # `Channel[...]()` would keep its type
        self.gathering = FrameGathering(options.pulse.packet_ms, self.input.send_nowait)
        self._input_ch = cast("utils.aio.Chan[rtc.AudioFrame | Flush]", self.input)
        self._counts = COUNTS
        if self._counts:
            self._read_alone()

    def _read_alone(self) -> None:
        """Have whoever iterates read the events themselves, and nobody else: see `tell`."""
        self._metrics_task.cancel()  # it has not begun
        self._metrics_task = None  # type: ignore[assignment]  # which `aclose` expects: it would keep what it was to read
        events: Channel[SpeechEvent] = Channel()
        self._event_ch = self._event_aiter = cast("utils.aio.Chan[SpeechEvent]", events)
        self._tee = utils.aio.itertools.tee(self._event_ch, 0)

    async def __aenter__(self) -> Self:
        """Leaving closes the stream."""
        return self

    def push_frame(self, frame: rtc.AudioFrame) -> None:
        """Push audio of any length. Raises RuntimeError after the end, ValueError for another rate than before."""
        if self._input_ch.closed or self._task.done():
            self._check_input_not_ended()
            self._check_not_closed()
        self.gathering.push(frame)  # and into the channel, past the framework's own resampler

    def flush(self) -> None:
        """Mark the end of a segment: what was pushed is sent, and with `finalize_on_flush` made final."""
        self._check_input_not_ended()
        self.gathering.flush()
        super().flush()

    def update_options(self, **changes: Unpack[ChangeableOptions]) -> None:
        """Change what was asked for: arguments as in `STT.update_options`. Nothing happens unless something changes.

        The stream opens a new connection for it. The old one first gives its last finals, for which it has a
        second; what they do not cover is sent again, but for another sample rate or encoding, and without
        `resume`. Times go on from where they were. Raises ValueError naming the argument; then nothing has changed.
        """
        changed = self.options.changed(changes)
        changed.check_streaming()
        if self.options.needs_new_connection(changed) and not self.options_changed.done():
            self.options_changed.set_result(None)
        self.options = changed

    def forget_change(self) -> None:
        """Have `options_changed` wait for another change."""
        if self.options_changed.done():
            self.options_changed = asyncio.get_running_loop().create_future()

    def tell(self, event: SpeechEvent) -> None:
        """Hand out an event, and count what the framework counts of it.

        The framework copies every event to a second reader for that, a task: three more turns of the loop for each
        event, and a task, two generators and two queues for each stream.
        """
        self._event_ch.send_nowait(event)
        if not self._counts:
            return
        if event.type is _FINAL:
            self._num_retries = 0
        elif event.type is _USAGE and event.recognition_usage is not None:
            self._measure(usage_metrics(self._stt, event.request_id, event.recognition_usage))

    def _measure(self, metrics: STTMetrics) -> None:
        try:
            self._stt.emit("metrics_collected", metrics)
        except Exception:  # of a handler: a stream does not end for it
            logger.exception("a handler of metrics_collected failed")

    async def _run(self) -> None:
        self._seconds_before = 0.0  # the framework's own offset covers the attempts before this one
        while True:
            self.forget_change()
            async with self._connected() as pulse:
                ending = await self._converse(pulse)
            if ending is Ending.NEW_OPTIONS:
                continue
            if ending is Ending.ALL_SENT or not await self._more_is_coming():
                return
            if ending is Ending.SERVER_REFUSED:
                # it would again: the framework knows when to try, and when to stop
                raise APIConnectionError("Smallest AI ended the session before there was a transcript")

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[PulseStream]:
        timeout = self._conn_options.timeout
        limits = Limits(handshake_timeout=timeout, drain_timeout=max(timeout, SHORTEST_DRAIN))
        pulse = self._service.stream(self.options.pulse, limits, timeout, self.resume)
        started = time.perf_counter()
        try:
            try:
                async with asyncio.timeout(timeout):  # both together
                    await pulse.__aenter__()
            except TimeoutError:
                late = DeadlineExceeded(f"not connected within {timeout:g} s", code="connect")
                raise api_error(late) from None
            except ProtocolError as error:
                raise api_error(error) from None
            self.report_connected(time.perf_counter() - started)
            yield pulse
        finally:
            await pulse.aclose()  # also when it came about just too late

    def report_connected(self, seconds: float) -> None:
        """A connection was opened, which took this long."""
        self._report_connection_acquired(seconds, False)

    async def _converse(self, pulse: PulseStream) -> Ending:
        """Use the connection to its end."""
        self._audio = audio = AudioInput(pulse.options, self._audio)
        first, self._next_audio = self._next_audio, None
        offset = self.start_time_offset + self._seconds_before
        conversation = Conversation(self, pulse, audio, self._events, offset)
        try:
            return await conversation.run(first)
        except ProtocolError as error:
            failure = api_error(error)
            failure.retryable &= not conversation.all_sent
            raise failure from None
        finally:
            await conversation.aclose()
            self._seconds_before += audio.sent_seconds

    async def _more_is_coming(self) -> bool:
        """Wait for audio and keep it for the next connection; False when the input ends with nothing to send."""
        if self._audio is not None and self._audio.waiting:
            return True
        async for item in self.input:
            if isinstance(item, GatheredAudio):
                self.gathering.taken(item)
                self._next_audio = item
                return True
        return False
