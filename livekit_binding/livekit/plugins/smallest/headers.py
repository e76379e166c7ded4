"""The headers by which the service knows this plugin."""

from __future__ import annotations

from livekit.plugins.smallest.version import __version__

HEADERS = {"X-Source": "livekit", "X-LiveKit-Version": __version__}
"""On every request and upgrade [seed], [lk 1.8.9]."""
