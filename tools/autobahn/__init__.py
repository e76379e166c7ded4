"""`make autobahn`: the WebSocket conformance suite against both ends of the wire."""
