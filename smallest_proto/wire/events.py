"""Events of the byte level itself. Those of the message layer and `ConnectionClosed` pass through it."""

from __future__ import annotations

from smallest_proto.events import Event


class HandshakeCompleted(Event, frozen=True, kw_only=True):
    """Client: the upgrade was accepted. Comes before every event of the message layer.

    `headers` are those of the 101 answer, names in lower case.
    """

    headers: tuple[tuple[str, str], ...] = ()


class UpgradeReceived(Event, frozen=True, kw_only=True):
    """Server: an upgrade was asked for. Answer with `accept` or `reject`.

    `target` is the path with its query, `headers` those of the request, names in lower case. The repr shows
    neither header values nor the query: both can hold an API key.
    """

    target: str
    headers: tuple[tuple[str, str], ...] = ()

    def __repr__(self) -> str:
        path = self.target.partition("?")[0]
        return f"UpgradeReceived({path!r}, headers={[name for name, _ in self.headers]})"
