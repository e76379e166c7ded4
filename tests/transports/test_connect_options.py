"""What connect functions refuse before they connect: each refusal names the argument."""

from __future__ import annotations

from typing import Any

import pytest

from smallest_proto.lightning import LightningOptions
from smallest_proto.pulse import PulseOptions
from smallest_transports.asyncio import connect_lightning, connect_pulse, lightning_pool, list_voices
from sockets import run

HERE = "http://127.0.0.1:9"


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"connect_timeout": -1}, "^connect_timeout=-1: expected a number above 0, or None$"),
        ({"connect_timeout": 0}, "^connect_timeout=0: expected a number above 0, or None$"),
        ({"connect_timeout": "a"}, "^connect_timeout='a': expected a finite number$"),
        ({"connect_timeout": float("nan")}, "^connect_timeout=nan: expected a finite number$"),
        ({"limits": 3}, "^limits=3: expected a Limits, or None$"),
        ({"ssl_context": 3}, "^ssl_context=3: expected an SSLContext, or None$"),
        ({"headers": 3}, "^headers=3: expected a Mapping, or None$"),
    ],
)
def test_an_option_of_the_connection(given: dict[str, Any], text: str) -> None:
    for connect in (connect_pulse, connect_lightning, lightning_pool):
        with pytest.raises(ValueError, match=text):
            connect(base_url=HERE, **given)
    with pytest.raises(ValueError, match=text):
        run(list_voices(base_url=HERE, **given))


def test_whether_to_resume() -> None:
    for other in (None, 3, "yes"):
        for connect in (connect_pulse, lightning_pool):
            with pytest.raises(ValueError, match=r"^resume=.*: expected True"):
                connect(base_url=HERE, resume=other)  # type: ignore[arg-type]  # on purpose


def test_options_of_another_kind() -> None:
    for other in ({"language": "en"}, LightningOptions(), None):
        with pytest.raises(ValueError, match=r"^options=.*: expected PulseOptions$"):
            connect_pulse(other, base_url=HERE)  # type: ignore[arg-type]  # on purpose
        if not isinstance(other, LightningOptions):
            with pytest.raises(ValueError, match=r"^options=.*: expected LightningOptions$"):
                connect_lightning(other, base_url=HERE)  # type: ignore[arg-type]  # on purpose
    with pytest.raises(ValueError, match=r"^options=.*: expected LightningOptions$"):
        lightning_pool(PulseOptions(), base_url=HERE)  # type: ignore[arg-type]  # on purpose
