"""Our own local server with its scripted engines: a transcript for each second of audio."""

from __future__ import annotations

import asyncio

from bench.servers.child import arguments, until_parent_ends
from smallest_transports.loopback import serve


async def main() -> None:
    """Serve until the parent ends."""
    async with serve() as server:
        await until_parent_ends(server.url)


if __name__ == "__main__":
    arguments(__doc__)
    asyncio.run(main())
