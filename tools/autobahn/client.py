"""Our client wire, on any backend, as what the suite's `fuzzingserver` tests."""

from __future__ import annotations

from smallest_proto.endpoints import upgrade_request
from smallest_proto.wire import WebSocketWire
from smallest_transports._backend import Backend
from smallest_transports._link import Link
from tools.autobahn.echo import EchoLayer

HOST = "127.0.0.1"
CONNECT_TIMEOUT = 10.0


async def run_cases(backend: Backend, port: int, agent: str, cases: int) -> None:
    """Go through the cases one after another, then have the report on `agent` written."""
    for case in range(1, cases + 1):
        await _visit(backend, port, "/runCase", {"case": str(case), "agent": agent})
    await _visit(backend, port, "/updateReports", {"agent": agent})


async def _visit(backend: Backend, port: int, path: str, query: dict[str, str]) -> None:
    """One connection, from the upgrade to its end; how it ends is for the suite to judge."""
    request = upgrade_request(f"ws://{HOST}:{port}", path, query.items(), api_key=None)
    wire = WebSocketWire(EchoLayer(), request)
    link = Link(backend, await backend.connect(HOST, port, timeout=CONNECT_TIMEOUT), wire)
    try:
        wire.connect(backend.now())
        await link.flush()
        while await link.next_event() is not None:
            pass
    finally:
        await link.aclose()
