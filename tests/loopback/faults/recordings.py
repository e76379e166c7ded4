"""Faults of recordings: refused, put off, or answered another way."""

from loopback.faults.cases import case
from loopback.faults.clients import PATIENT, failure, recognise
from smallest_proto.errors import ServerError
from smallest_proto.pulse import BatchAccepted, BatchOptions, BatchResult, BatchUrl
from smallest_transports.asyncio import transcribe
from smallest_transports.loopback import LoopbackServer


@case(
    *("batch=model", "batch=too_large", "batch=bad_input", "batch=region", "batch=no_credentials"),
    *("batch=bad_key", "batch=plan", "batch=rate", "batch=no_object", "batch=unavailable"),
)
async def recordings_are_refused(server: LoopbackServer) -> None:
    for endpoint in ("stt", "get_text"):
        options = BatchOptions(endpoint=endpoint)
        error = await failure(recognise(server, options), ServerError)
        assert error.status is not None
        assert error.status >= 400
        assert error.message or error.code


@case("batch=rate retry_after=3")
async def recordings_are_put_off(server: LoopbackServer) -> None:
    error = await failure(recognise(server), ServerError)
    assert (error.status, error.retry_after) == (429, 3.0)


@case("batch_processing")
async def recordings_for_a_webhook(server: LoopbackServer) -> None:
    options = BatchOptions(model="pulse-pro", webhook_url="https://example.com/hook")
    result = await recognise(server, options)
    assert isinstance(result, BatchAccepted)
    assert result.request_id
    assert isinstance(await recognise(server), BatchResult)


@case("batch_url")
async def recordings_by_url(server: LoopbackServer) -> None:
    result = await transcribe(BatchUrl("https://example.com/a.wav"), base_url=server.url, limits=PATIENT)
    assert isinstance(result, BatchResult)
    assert (result.text, result.duration) == ("", 1.0)
