"""`smallest-proto serve`: the local server until it is told to stop."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import ssl
import sys
from contextlib import AsyncExitStack, suppress

from smallest_proto import checks
from smallest_proto.limits import Limits
from smallest_transports.commands.failures import BadInput
from smallest_transports.loopback import LoopbackServer
from smallest_transports.loopback import serve as run_server
from smallest_transports.loopback.chaos import Happening, chaos
from smallest_transports.loopback.chaos_schedule import ChaosSchedule
from smallest_transports.loopback.engines.base import Recognizer, Synthesizer
from smallest_transports.loopback.faults import fault_list, read_faults
from smallest_transports.loopback.server import HOST


class Signals:
    """What the outside world wants: `drain` to finish what is under way, `stop` to end at once."""

    def __init__(self, *, until_eof: bool) -> None:
        self.drain = asyncio.Event()
        self.stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        with suppress(NotImplementedError):  # Windows: Ctrl-C cancels us instead
            loop.add_signal_handler(signal.SIGINT, self.stop.set)
            loop.add_signal_handler(signal.SIGTERM, self._terminate)
        if until_eof:
            try:
                loop.add_reader(sys.stdin, self._stop_at_end)
            except (OSError, ValueError):  # /dev/null, a file, or closed: nothing will come
                self.stop.set()

    def _terminate(self) -> None:
        if self.drain.is_set():
            self.stop.set()
        self.drain.set()

    def _stop_at_end(self) -> None:
        if not os.read(sys.stdin.fileno(), 4096):
            self.stop.set()


async def serve(arguments: argparse.Namespace) -> int:
    """Serve until Ctrl-C, SIGTERM or, with `--until-eof`, the end of standard input."""
    if arguments.list_faults:
        print(fault_list())
        return 0
    checks.number("--drain", arguments.drain, 0)
    limits, faults = _limits(arguments.max_message_bytes), read_faults(arguments.fault)
    context = tls_context(arguments.tls_cert, arguments.tls_key)
    schedule = chaos_schedule(arguments.chaos, arguments.chaos_drops)
    recognizer, synthesizer = engines(arguments.engine)
    signals = Signals(until_eof=arguments.until_eof)
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(
            run_server(
                recognizer=recognizer,
                synthesizer=synthesizer,
                port=arguments.port if schedule is None else 0,
                api_key=arguments.api_key,
                limits=limits,
                ssl_context=context,
                max_connections=arguments.max_connections,
                faults=faults,
            )
        )
        url, treatment = server.url, ""
        if schedule is not None:
            proxy = await stack.enter_async_context(
                chaos(HOST, server.port, schedule, port=arguments.port, tell=_tell)
            )
            url, treatment = proxy.url_for(url), f", with chaos of seed {arguments.chaos}"
        print(
            f"Serving Pulse and Lightning on {url} ({arguments.engine} engines{treatment}; Ctrl-C ends it)",
            flush=True,
        )
        await _until_told(server, signals, arguments.drain)
    return 0


async def _until_told(server: LoopbackServer, signals: Signals, seconds: float) -> None:
    async def drained() -> None:
        await signals.drain.wait()
        await server.drain(seconds)

    ends = [asyncio.create_task(drained()), asyncio.create_task(signals.stop.wait())]
    try:
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for end in ends:
            end.cancel()
        await asyncio.gather(*ends, return_exceptions=True)


def chaos_schedule(seed: int | None, drops: int | None) -> ChaosSchedule | None:
    """What happens to connections; None for nothing. Raises BadInput for drops without a seed."""
    if seed is None:
        if drops is not None:
            raise BadInput("--chaos-drops: expected --chaos beside it")
        return None
    return ChaosSchedule.from_seed(seed) if drops is None else ChaosSchedule.from_seed(seed, drops=drops)


def _tell(happening: Happening) -> None:
    with suppress(OSError):  # nobody reads it any more: no reason to break a connection
        print(happening, file=sys.stderr, flush=True)


def _limits(max_message_bytes: int | None) -> Limits:
    return Limits() if max_message_bytes is None else Limits(max_message_bytes=max_message_bytes)


def tls_context(certificate: str | None, key: str | None) -> ssl.SSLContext | None:
    """The server's side of TLS with the certificate in a file. Raises BadInput for files that will not do."""
    if certificate is None:
        if key is not None:
            raise BadInput("--tls-key: expected --tls-cert beside it")
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    files = f"--tls-cert {certificate}" + (f" --tls-key {key}" if key is not None else "")
    try:
        # a key with a passphrase would have it asked for on the terminal
        context.load_cert_chain(certificate, key, password=lambda: "")
    except ssl.SSLError as error:
        reason = (error.reason or "not PEM").replace("_", " ").lower()
        raise BadInput(f"{files}: no certificate with its key without passphrase in PEM ({reason})") from None
    except OSError as error:
        raise BadInput(f"{files}: {error.strerror or 'cannot be read'}") from None
    return context


def engines(name: str) -> tuple[Recognizer | None, Synthesizer | None]:
    """The engines of this name, models loaded; None for the scripted ones, which are the server's default."""
    if name == "scripted":
        return None, None
    from smallest_transports.loopback.engines.local import LocalRecognizer, LocalSynthesizer

    recognizer, synthesizer = LocalRecognizer(), LocalSynthesizer()
    try:
        recognizer.preload()
        synthesizer.preload()
    except BaseException:
        recognizer.close()
        synthesizer.close()
        raise
    return recognizer, synthesizer
