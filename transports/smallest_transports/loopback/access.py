"""Who may use the local server, and how the others are refused."""

from __future__ import annotations

import hmac
from collections.abc import Iterable

from smallest_proto.endpoints import ApiKey
from smallest_proto.http_reply import HttpReply, json_reply


class Gate:
    """Knows the only key that is accepted; None accepts any, and none. Raises ValueError for an empty one."""

    def __init__(self, api_key: str | None) -> None:
        self._expected = None if api_key is None else f"Bearer {ApiKey(api_key).reveal()}".encode()

    def refusal(self, headers: Iterable[tuple[str, str]]) -> HttpReply | None:
        """The 401 for a request with these headers, in the words of the service; None to let it pass."""
        given = dict(headers).get("authorization", "")
        if self._expected is None or hmac.compare_digest(given.encode(), self._expected):
            return None
        return json_reply(
            401, {"error": "unauthorized"} if given else {"message": "Unauthorized: No tokens provided"}
        )
