"""What a server reads from the request of a Lightning client."""

from __future__ import annotations

import re
from urllib.parse import parse_qs

from smallest_proto.lightning.options import LightningOptions

_PATH = re.compile(r".*/tts/live/?")


def lightning_options(target: str) -> LightningOptions | None:
    """The options that a client's request target (path and query) asks for: only `idle_timeout` stands there.

    None when the path is not Lightning's; what precedes the known part is not looked at.
    Raises ValueError, with a text fit for the client, for an impossible `timeout`: answer 400.
    """
    path, _, query = target.partition("?")
    if not _PATH.fullmatch(path):
        return None
    values = parse_qs(query, keep_blank_values=True).get("timeout")
    if values is None:
        return LightningOptions()
    if not re.fullmatch(r"[0-9]{1,10}", values[-1]) or int(values[-1]) == 0:
        raise ValueError(f"timeout={values[-1][:20]!r}: expected a positive number of whole seconds")
    return LightningOptions(idle_timeout=int(values[-1]))
