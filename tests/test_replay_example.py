"""`examples/replay_vectors.py` tells a client that is wrong, in whatever way, from ours."""

from __future__ import annotations

import json
import runpy
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from smallest_proto import LocalProtocolError, lightning, pulse
from smallest_proto.events import NEED_DATA

SCRIPT = Path(__file__).parents[1] / "examples" / "replay_vectors.py"


class Altered:
    """A connection of ours, one thing about it changed."""

    def __init__(self, real: Any) -> None:
        self.real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


def sending(change: Callable[[str | bytes], str | bytes]) -> type[Altered]:
    class Sending(Altered):
        def messages_to_send(self) -> list[str | bytes]:
            return [change(message) for message in self.real.messages_to_send()]

    return Sending


def with_numbers(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: with_numbers(of) for key, of in value.items()}
    return int(value) if isinstance(value, bool) else value


class RefusesNothing(Altered):
    def send(self, command: object, now: float) -> None:
        with suppress(LocalProtocolError):
            self.real.send(command, now)


class TellsNothing(Altered):
    def next_event(self) -> object:
        return NEED_DATA


class Hasty(Altered):
    """Its deadlines come a little early, so that messages go out before their step."""

    def next_deadline(self) -> float | None:
        due = self.real.next_deadline()
        return None if due is None else max(0.0, due - 0.05)

    def handle_timeout(self, now: float) -> None:
        self.real.handle_timeout(now + 0.05)


WRONG: dict[str, type[Altered]] = {
    "adds a key": sending(
        lambda message: message if isinstance(message, bytes) else json.dumps(json.loads(message) | {"x": 1})
    ),
    "sends JSON in binary messages": sending(
        lambda message: message if isinstance(message, bytes) else message.encode()
    ),
    "sends audio as text": sending(
        lambda message: message if isinstance(message, str) else "x" * len(message)
    ),
    "sends noise": sending(lambda message: message if isinstance(message, str) else b"\xff" * len(message)),
    "sends 1 for true": sending(
        lambda message: (
            message if isinstance(message, bytes) else json.dumps(with_numbers(json.loads(message)))
        )
    ),
    "refuses nothing": RefusesNothing,
    "tells nothing": TellsNothing,
    "is hasty": Hasty,
}


def failures(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", [str(SCRIPT)])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(SCRIPT))
    sessions, _, count, _ = capsys.readouterr().out.splitlines()[-1].split()
    assert int(sessions) > 200
    assert bool(ended.value.code) == bool(int(count))
    return int(count)


@pytest.mark.parametrize("kind", [Altered, *WRONG.values()], ids=["is ours", *WRONG])
def test_a_wrong_client_is_told(
    kind: type[Altered], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for protocol, name in ((pulse, "PulseConnection"), (lightning, "LightningConnection")):
        monkeypatch.setattr(protocol, name, altering(getattr(protocol, name), kind))
    assert bool(failures(capsys, monkeypatch)) == (kind is not Altered)


def altering(real: Callable[..., Any], kind: type[Altered]) -> Callable[..., Altered]:
    def connect(*arguments: Any, previous: Any = None, **more: Any) -> Altered:
        if previous is not None:
            more["previous"] = previous.real
        return kind(real(*arguments, **more))

    return connect


@pytest.mark.parametrize("change", ["order", "value"])
def test_of_a_target_the_values_count_and_not_their_order(
    change: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Asked:
        def __init__(self, target: str) -> None:
            path, _, query = target.partition("?")
            pairs = query.replace("+", "%20").split("&")
            last = pairs.pop() if change == "order" else f"{pairs.pop()}x"
            self.target = f"{path}?{'&'.join([last, *pairs])}"

    request = pulse.pulse_request
    monkeypatch.setattr(
        pulse, "pulse_request", lambda options, **more: Asked(request(options, **more).target)
    )
    assert bool(failures(capsys, monkeypatch)) == (change == "value")


def test_a_server_that_hears_otherwise_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Deaf(Altered):
        def next_event(self) -> object:
            event = self.real.next_event()
            return NEED_DATA if isinstance(event, lightning.SynthesisRequested) else event

    monkeypatch.setattr(lightning, "LightningConnection", altering(lightning.LightningConnection, Deaf))
    assert failures(capsys, monkeypatch) > 0
