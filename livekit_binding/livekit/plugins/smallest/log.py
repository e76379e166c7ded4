"""The plugin's logger. What people said goes under `lk.pii.*` extras only, which LiveKit can redact."""

import logging

logger = logging.getLogger("livekit.plugins.smallest")
