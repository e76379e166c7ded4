"""A local server that speaks both protocols over real sockets: for development and tests, without a key."""

from smallest_transports.loopback.server import LoopbackServer, serve

__all__ = ["LoopbackServer", "serve"]
