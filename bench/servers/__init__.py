"""What the clients are measured against; each runs as `python -m bench.servers.NAME` until its input ends."""
