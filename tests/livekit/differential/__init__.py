"""The official plugin and ours against the same scripted server: `python -m livekit.differential` in `tests/`."""
