"""A text spoken over HTTP as a machine: the response in, audio out while it arrives."""

from __future__ import annotations

from smallest_proto.error_shapes import Headers, find_header
from smallest_proto.errors import ServerError
from smallest_proto.events import Event
from smallest_proto.exchange import HttpExchange, RequestFailed
from smallest_proto.lightning.events import AudioChunk
from smallest_proto.lightning.http_audio import AudioBody
from smallest_proto.lightning.http_events import EncodedAudio, complete
from smallest_proto.lightning.http_request import OutputFormat, check_output_format
from smallest_proto.lightning.http_sniff import is_document
from smallest_proto.lightning.options import LightningOptions
from smallest_proto.limits import Limits


class SpeechExchange(HttpExchange):
    """Reads the response to a `speech_request`; the options and the format are the same. See `HttpExchange`.

    It yields `AudioChunk` for `pcm` and `EncodedAudio` for the others, as the bytes come, then `SpeechComplete`
    or `RequestFailed`. A response that calls itself JSON or a page is an error, whatever its status. What it says
    of its kind of audio is not believed: where PCM was asked for, a WAV of the same PCM is unwrapped, and
    any other file fails with code INVALID_AUDIO instead of sounding as noise.
    Raises ValueError for a format that does not exist.
    """

    def __init__(
        self,
        options: LightningOptions = LightningOptions(),
        output_format: OutputFormat = "pcm",
        *,
        limits: Limits = Limits(),
    ) -> None:
        check_output_format("output_format", output_format)
        super().__init__(limits=limits)
        self._format = output_format
        self._body = AudioBody(output_format, options.sample_rate)

    def _answers(self, headers: Headers) -> bool:
        return not is_document(headers)

    def _read(self, data: bytes) -> Event | None:
        return self._hand_on(self._body.feed(data))

    def _finish(self) -> Event:
        body = self._body
        failed = self._hand_on(body.finish())
        return failed or complete(self._headers, body.size, body.seconds, self._format, body.container)

    def _hand_on(self, audio: bytes | ServerError) -> RequestFailed | None:
        if isinstance(audio, ServerError):
            return RequestFailed(error=audio)
        request_id = find_header(self._headers, "x-request-id")
        if audio and self._format == "pcm":
            self._events.append(AudioChunk(pcm=audio, context_id="", request_id=request_id))
        elif audio:
            self._events.append(EncodedAudio(data=audio, output_format=self._format, request_id=request_id))
        return None
