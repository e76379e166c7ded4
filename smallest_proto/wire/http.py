"""HTTP/1.1 as bytes, for each end: see `HttpWire` and `HttpServerWire`."""

from smallest_proto.wire.http_client import HttpWire
from smallest_proto.wire.http_server import HttpServerWire, wants_upgrade

__all__ = ["HttpServerWire", "HttpWire", "wants_upgrade"]
