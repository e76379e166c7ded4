"""Marks each test with its loop and carrier, for the summary; what only transport tests need."""

import gc

import pytest

from loops import Net
from smallest_transports import _asyncio_backend, _trio_backend


@pytest.fixture
def short_close(monkeypatch: pytest.MonkeyPatch) -> float:
    """Seconds that a peer who does not read may hold up a close, for tests whose peers do nothing else."""
    for backend in (_asyncio_backend, _trio_backend):
        monkeypatch.setattr(backend, "CLOSE_TIMEOUT", 0.1)
    return 0.1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        call = getattr(item, "callspec", None)
        if call is not None and isinstance(net := call.params.get("net"), Net):
            item.user_properties.append(("net", str(net)))


def pytest_collection_finish() -> None:
    gc.collect()
    gc.freeze()  # each test here collects garbage: it need not look through all that came before the tests
