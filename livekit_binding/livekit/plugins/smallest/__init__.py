"""LiveKit Agents plugin for Smallest AI's Pulse and Lightning. Reserved: it exports nothing yet.

`livekit` and `livekit.plugins` are namespace packages shared with livekit-agents: they must not get an
`__init__.py` here.
"""
