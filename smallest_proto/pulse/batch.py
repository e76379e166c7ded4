"""One recording's transcription as a machine: the response in, one event out."""

from __future__ import annotations

from smallest_proto.error_shapes import Headers
from smallest_proto.events import Event
from smallest_proto.exchange import DocumentExchange, RequestFailed
from smallest_proto.limits import Limits
from smallest_proto.pulse.batch_decode import parse_batch
from smallest_proto.pulse.batch_options import BatchOptions
from smallest_proto.pulse.batch_result import BatchAccepted, BatchCompleted, BatchResult


class BatchExchange(DocumentExchange):
    """Reads the response to a `batch_request`; `options` are the same. See `HttpExchange` for its use.

    It yields one event: `BatchCompleted`, `BatchAccepted` (the result goes to the webhook, where
    `parse_webhook` reads it) or `RequestFailed`. An answer beyond `Limits.max_message_bytes` fails: ten
    minutes of words with times are well below 1 MiB.
    """

    def __init__(self, options: BatchOptions = BatchOptions(), *, limits: Limits = Limits()) -> None:
        super().__init__(limits=limits)
        self._options = options

    def _parse(self, status: int, headers: Headers, body: bytes) -> Event:
        match parse_batch(status, headers, body, self._options):
            case BatchResult() as result:
                return BatchCompleted(result=result)
            case BatchAccepted() as accepted:
                return accepted
            case error:
                return RequestFailed(error=error)
