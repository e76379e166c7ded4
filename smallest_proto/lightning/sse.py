"""A text spoken as server-sent events, as a machine: the response in, audio out while it arrives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smallest_proto.error_shapes import Headers, find_header
from smallest_proto.errors import ConnectionLost, ServerError
from smallest_proto.events import Event, UnknownMessage
from smallest_proto.exchange import HttpExchange, RequestFailed
from smallest_proto.lightning.events import AudioChunk
from smallest_proto.lightning.http_events import complete
from smallest_proto.lightning.http_sniff import is_document
from smallest_proto.lightning.options import LightningOptions
from smallest_proto.lightning.sse_decode import parse
from smallest_proto.limits import Limits

if TYPE_CHECKING:
    from smallest_proto.wire.sse import ServerSentEvent


class SpeechEventsExchange(HttpExchange):
    """Reads the response to a `speech_stream_request`; the options are the same. See `HttpExchange`.

    It yields `AudioChunk` of whole samples, then `SpeechComplete` as soon as the server says that it is done,
    or `RequestFailed`: an error in an event, or in a response that calls itself JSON or a page; audio that is
    not base64; an event beyond `Limits.max_message_bytes`; or a body that ends without being done
    (ConnectionLost). An event that means nothing is an `UnknownMessage`, and nothing has to be done.
    """

    def __init__(self, options: LightningOptions = LightningOptions(), *, limits: Limits = Limits()) -> None:
        from smallest_proto.wire.sse import EventStreamDecoder  # its package loads h11, needless elsewhere

        super().__init__(limits=limits)
        self._decoder = EventStreamDecoder(limits=limits)
        self._cut = b""
        """The first byte of a sample that an event has cut; the events of one body join without a gap."""
        self._rate = options.sample_rate
        self._size = 0

    def _answers(self, headers: Headers) -> bool:
        return not is_document(headers)

    def _read(self, data: bytes) -> Event | None:
        return self._hear(self._decoder.feed(data))

    def _finish(self) -> Event:
        truncated = ConnectionLost("the server's event stream ended before it was done", status=self._status)
        return self._hear(self._decoder.end()) or RequestFailed(error=truncated)

    def _hear(self, events: list[ServerSentEvent]) -> Event | None:
        """Hand on what the events say; return the last event if one of them ends the exchange."""
        for event in events:
            match parse(event):
                case ServerError() as error:
                    return RequestFailed(error=error)
                case UnknownMessage() as unknown:
                    self._events.append(unknown)
                case frame:
                    self._speak(frame.audio)
                    if frame.done:
                        seconds = self._size / (2 * self._rate)
                        return complete(
                            self._headers, self._size, seconds, container="raw" if self._size else None
                        )
        return None if self._decoder.error is None else RequestFailed(error=self._decoder.error)

    def _speak(self, audio: bytes) -> None:
        audio = self._cut + audio
        whole = len(audio) // 2 * 2
        pcm, self._cut = audio[:whole], audio[whole:]
        self._size += len(pcm)
        if pcm:
            request_id = find_header(self._headers, "x-request-id")
            self._events.append(AudioChunk(pcm=pcm, context_id="", request_id=request_id))
