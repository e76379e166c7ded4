"""Sockets, clocks and TLS for `smallest_proto`: transports, a local server and the command line.

Import the module of your event loop, for example `smallest_transports.asyncio`. This package itself is empty.
"""
