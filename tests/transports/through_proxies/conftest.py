"""No proxy but the test's own: a clean environment, and TLS proxies that are trusted."""

import pytest

from loops import contexts
from smallest_transports import _tunnel


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUEST_METHOD"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setattr(_tunnel, "default_context", lambda: contexts()[1])  # for the proxies that speak TLS
