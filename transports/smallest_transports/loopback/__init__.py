"""A local server that speaks both protocols over real sockets: for development and tests, without a key."""

from smallest_transports.loopback.faults import Faults
from smallest_transports.loopback.server import LoopbackServer, serve
from smallest_transports.loopback.service import ReceivedRequest

__all__ = ["Faults", "LoopbackServer", "ReceivedRequest", "serve"]
