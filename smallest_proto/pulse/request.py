"""The upgrade request of a Pulse stream."""

from __future__ import annotations

from collections.abc import Mapping

from smallest_proto import checks
from smallest_proto.endpoints import BASE_URL, ApiKey, UpgradeRequest, upgrade_request
from smallest_proto.pulse.options import PulseOptions
from smallest_proto.regions import check_region

PATHS = {"get_text": "/{model}/get_text", "live": "/stt/live", "transcribe": "/transcribe"}
"""[seed], [asyncapi stt-live], [lk 1.8.9]"""


def pulse_request(
    options: PulseOptions,
    *,
    api_key: ApiKey | None,
    base_url: str = BASE_URL,
    headers: Mapping[str, str] | None = None,
) -> UpgradeRequest:
    """The WebSocket upgrade that opens a stream with these options.

    Give it to `WebSocketWire`, or its `target` and `headers` to another WebSocket library. `base_url` is the
    part before `/stt/live`; a direct server is `http://HOST:PORT` with `endpoint="transcribe"`.
    Gives a `RegionWarning` when the host is known not to serve the language. Raises ValueError for other
    options, a base URL or a header that cannot be sent.
    """
    if not isinstance(options, PulseOptions):
        raise checks.refuse("options", options, "PulseOptions")
    check_region(options.language, base_url, stacklevel=2)
    path = PATHS[options.endpoint].format(model=options.model)
    return upgrade_request(base_url, path, options.query(), api_key=api_key, headers=headers)
