"""What `from smallest_proto import ...` offers."""

from __future__ import annotations

import pytest

import smallest_proto
from smallest_proto import wire


@pytest.mark.interpreted
def test_every_public_name_is_there() -> None:
    assert len(set(smallest_proto.__all__)) == len(smallest_proto.__all__)
    for name in smallest_proto.__all__:
        assert getattr(smallest_proto, name).__doc__ or name.isupper() or name == "NEED_DATA"


def test_the_wire_is_loaded_when_it_is_asked_for() -> None:
    assert smallest_proto.WebSocketWire is wire.WebSocketWire
    assert smallest_proto.WebSocketServerWire is wire.WebSocketServerWire


def test_other_names_do_not_exist() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Websocket'"):
        smallest_proto.Websocket  # noqa: B018  # looking is the test
