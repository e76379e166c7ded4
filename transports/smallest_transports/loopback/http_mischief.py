"""What the faults mean to requests over HTTP."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterable, Mapping

import msgspec

from smallest_proto.http_reply import HttpReply
from smallest_proto.json_text import mapping
from smallest_proto.lightning import SpeechAsked, audio_event, busy_refusal, done_event
from smallest_proto.limits import Limits
from smallest_proto.pulse import (
    BatchAsked,
    BatchRefusal,
    BatchResult,
    batch_accepted_reply,
    batch_refusal,
    batch_reply,
)
from smallest_proto.wire.http import HttpServerWire
from smallest_proto.wire.sse import EventStreamDecoder, ServerSentEvent, encode_event
from smallest_transports._link import Link
from smallest_transports.loopback.answer import Answer
from smallest_transports.loopback.fault_bodies import error_text
from smallest_transports.loopback.faults import Faults
from smallest_transports.loopback.lightning_mischief import DAMAGE, OddBytes
from smallest_transports.loopback.mischief import Levers

_LINE_ENDS: Mapping[str, bytes] = {"lf": b"\n", "crlf": b"\r\n", "cr": b"\r"}
_COMMENTS = b": a comment\nid: 7\nretry: 1000\nunknown: field\n"
_CUTS = ("close", "hang_up", "reset", "error")
"""The faults that end an answer in its middle; `stop_reading` and `stop_pongs` mean nothing there."""


def instead(asked: BatchAsked | SpeechAsked, faults: Faults) -> HttpReply | None:
    """The reply that the faults have for what a client asks; None to serve it."""
    if isinstance(asked, SpeechAsked):
        return busy_refusal(faults.retry_after or 1) if faults.busy else None
    if faults.batch is not None:
        case, request_id = BatchRefusal[faults.batch.upper()], secrets.token_hex(8)
        language = asked.options.language
        return batch_refusal(
            case,
            asked.options.endpoint,
            language=language,
            request_id=request_id,
            retry_after=faults.retry_after,
        )
    if faults.batch_processing and asked.options.webhook_url is not None:
        return batch_accepted_reply(secrets.token_hex(8))
    if faults.batch_url and asked.url is not None:
        return batch_reply(BatchResult(text="", duration=1.0, language=asked.options.language), asked.options)
    return None


class MischievousAnswer(Answer):
    """An `Answer` whose body is what the faults make of it."""

    def __init__(
        self, link: Link, wire: HttpServerWire, limits: Limits, faults: Faults, levers: Levers
    ) -> None:
        super().__init__(link, wire, limits)
        self._faults = faults
        self._levers = levers
        self._events = False
        self._cuts = any(getattr(faults, name) for name in _CUTS)
        self._written = 0
        self._odd = OddBytes()

    async def begin(self, headers: Iterable[tuple[str, str]]) -> None:
        """See `Answer`."""
        headers = tuple(headers)
        self._events = ("Content-Type", "text/event-stream") in headers
        self._written = 0
        self._odd.rest()
        await super().begin(headers)

    async def write(self, data: bytes) -> None:
        """See `Answer`. For events, `data` is one of them."""
        await self._cut_if_due()
        self._written += 1
        await self._put(self._rewritten(data) if self._events else data)

    async def end(self) -> None:
        """See `Answer`."""
        await self._cut_if_due()
        await super().end()

    async def _put(self, data: bytes) -> None:
        size = 1 if self._faults.split_bytes else len(data) or 1
        for start in range(0, len(data), size):
            await super().write(data[start : start + size])

    async def _cut_if_due(self) -> None:
        if not self._cuts or self._written < self._faults.after_messages:
            return
        self._cuts = False
        if self._events and self._faults.error is not None:
            await self._put(self._styled(encode_event(error_text(self._faults.error))))
            await super().end()  # whatever follows finds the answer at its end
            return
        if self._faults.reset:
            self._levers.cut(reset=True)
        await self.cut()

    def _rewritten(self, event: bytes) -> bytes:
        [sent] = EventStreamDecoder().feed(event)
        return self._styled(b"".join(self._framed(sent)))

    def _framed(self, sent: ServerSentEvent) -> Iterable[bytes]:
        body = mapping(msgspec.json.decode(sent.data))
        framing = self._faults.sse_framing
        if isinstance(audio := body.get("audio"), str):
            pcm = base64.b64decode(audio)
            pcm = self._odd.push(pcm) if self._faults.odd_chunks else pcm
            framed = audio_event(pcm, framing)
            yield self._damaged(framed, pcm) if self._faults.damaged_base64 else framed
        elif body.get("done") is True:
            if rest := self._odd.rest():
                yield audio_event(rest, framing)
            if not self._faults.sse_truncated:
                yield done_event(framing)
        else:
            yield encode_event(sent.data, sent.event)

    @staticmethod
    def _damaged(framed: bytes, pcm: bytes) -> bytes:
        encoded = base64.b64encode(pcm)
        return framed.replace(encoded, DAMAGE.encode() + encoded)

    def _styled(self, event: bytes) -> bytes:
        comments = _COMMENTS if self._faults.sse_comments else b""
        return (comments + event).replace(b"\n", _LINE_ENDS[self._faults.sse_line_end])
