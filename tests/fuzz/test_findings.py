"""What was found by looking at the targets' findings: values that no corpus file can hold."""

from __future__ import annotations

from typing import Any

import pytest

from smallest_proto import LightningOptions, LocalProtocolError, PulseConnection, PulseOptions, Role
from smallest_proto.pulse import ErrorMessage, TranscriptMessage, VadMessage


def nested() -> Any:
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    return value


@pytest.mark.parametrize("field", ["extra", "pronunciation_dicts"])
def test_a_refusal_of_what_cannot_be_shown(field: str) -> None:
    value: Any = {"a": nested()} if field == "extra" else nested()
    options: dict[str, Any] = {field: value}
    with pytest.raises(ValueError, match=rf"^{field}.* that cannot be shown: expected"):
        LightningOptions(**options)


def test_a_refusal_of_a_number_too_long_to_show() -> None:
    with pytest.raises(ValueError, match=r"^packet_ms=int that cannot be shown: expected"):
        PulseOptions(packet_ms=10**5000)


@pytest.mark.parametrize(
    "command",
    [
        TranscriptMessage(transcript=nested()),
        VadMessage(type="speech_started", timestamp=nested()),
        ErrorMessage(message=nested()),
    ],
    ids=lambda command: type(command).__name__,
)
def test_a_message_nested_without_end_is_refused(command: Any) -> None:
    server = PulseConnection(PulseOptions(), Role.SERVER)
    with pytest.raises(LocalProtocolError, match="cannot be written as JSON"):
        server.send(command, 0.0)
    assert not server.messages_to_send()
