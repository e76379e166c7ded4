"""The upgrade request of a Lightning connection."""

from __future__ import annotations

from collections.abc import Mapping

from smallest_proto import checks
from smallest_proto.endpoints import BASE_URL, ApiKey, UpgradeRequest, upgrade_request
from smallest_proto.lightning.options import LightningOptions

PATH = "/tts/live"
"""[asyncapi tts-ws]"""


def lightning_request(
    options: LightningOptions,
    *,
    api_key: ApiKey | None,
    base_url: str = BASE_URL,
    headers: Mapping[str, str] | None = None,
) -> UpgradeRequest:
    """The WebSocket upgrade that opens a connection with these options.

    Give it to `WebSocketWire`, or its `target` and `headers` to another WebSocket library. `base_url` is the
    part before `/tts/live`. Of the options only `idle_timeout` and `expire_content` show here; the rest goes
    into every message.
    Raises ValueError for other options, a base URL or a header that cannot be sent.
    """
    if not isinstance(options, LightningOptions):
        raise checks.refuse("options", options, "LightningOptions")
    query = [("timeout", str(options.idle_timeout))] if options.idle_timeout is not None else []
    ours = (
        {"x-expire-content": "true"} if options.expire_content else {}
    )  # "true" or absent [changelog 08-04]
    return upgrade_request(base_url, PATH, query, api_key=api_key, headers={**ours, **(headers or {})})
