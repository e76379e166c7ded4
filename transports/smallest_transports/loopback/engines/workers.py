"""Processes that work for the local engine.

pocketsphinx holds Python's global lock while it decodes: in a thread it would stop the event loop for a tenth of
a second at a time. So engines live in child processes, and a call to one blocks only the calling thread.

A child is a fresh interpreter (nothing is forked, and the user's main module is not run again). It talks over
its standard input and output, and ends when its input does: with its parent, however that ends.
"""

from __future__ import annotations

import itertools
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import BinaryIO

from smallest_transports.loopback.engines.base import EngineError

CLOSE_SECONDS = 2.0
"""How long a worker may take to end by itself before it is killed."""

_MAIN = f"from {__name__} import main; main()"


class Worker:
    """One child process with objects in it. Calls may come from any thread; they run one after another."""

    def __init__(self) -> None:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _MAIN],  # or the current folder would come first
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            start_new_session=True,  # a Ctrl-C on the terminal is for the parent, which then closes its workers
        )
        self._turn = threading.Lock()
        self._names = itertools.count()
        self._dropped: deque[int] = deque()
        self.sessions = 0

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

    def create(self, factory: str, *args: object) -> int:
        """Make an object in the worker by calling `factory` ("module:name"); return its number."""
        name = next(self._names)
        self._ask("create", name, factory, args)
        return name

    def call(self, name: int, method: str, *args: object) -> object:
        """Call a method of an object and return its result. Raises `EngineError`, also when the worker is gone."""
        return self._ask("call", name, method, args)

    def drop(self, name: int) -> None:
        """Forget an object, some time before the next call is done. Never waits, never raises."""
        self._dropped.append(name)

    def close(self) -> None:
        """End the process, by force if it is busy for longer than `CLOSE_SECONDS`. More than once is harmless."""
        idle = self._turn.acquire(timeout=CLOSE_SECONDS)
        if not idle:
            self._process.kill()  # whoever waits for an answer sees the end of the stream and lets go
            self._turn.acquire()
        try:
            self._hang_up()
        finally:
            self._turn.release()

    def _hang_up(self) -> None:
        stdin, stdout = self._pipes()
        with suppress(OSError):
            stdin.close()
        try:
            self._process.wait(CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        stdout.close()

    def _ask(self, *request: object) -> object:
        with self._turn:
            stdin, stdout = self._pipes()
            try:
                dropped = [self._dropped.popleft() for _ in range(len(self._dropped))]
                pickle.dump((dropped, *request), stdin)
                stdin.flush()
                good, answer = pickle.load(stdout)  # noqa: S301 - our own child, over a private pipe
            except (OSError, EOFError, ValueError, pickle.UnpicklingError):
                raise EngineError("the local engine's worker process has ended") from None
            except BaseException:  # a Ctrl-C between question and answer: the two would never match again
                self._process.kill()
                raise
        if not good:
            raise EngineError(answer)
        return answer

    def _pipes(self) -> tuple[BinaryIO, BinaryIO]:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        return stdin, stdout  # type: ignore[return-value] # typeshed says IO[bytes]


class WorkerPool:
    """At most `limit` workers, started when they are needed and kept until `close`."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._workers: list[Worker] = []
        self._lock = threading.Lock()
        self._closed = False

    @contextmanager
    def borrow(self) -> Iterator[Worker]:
        """A worker for as long as the block lasts."""
        worker = self.acquire()
        try:
            yield worker
        finally:
            self.release(worker)

    def acquire(self) -> Worker:
        """A worker without a session if there is one or may be one more, else that with the fewest."""
        with self._lock:
            if self._closed:
                raise EngineError("the local engine is closed")
            self._bury()
            least = min(self._workers, key=lambda worker: worker.sessions, default=None)
            if least is None or (least.sessions and len(self._workers) < self._limit):
                least = Worker()
                self._workers.append(least)
            least.sessions += 1
            return least

    def release(self, worker: Worker) -> None:
        """Give back what `acquire` returned, once."""
        with self._lock:
            worker.sessions -= 1

    def close(self) -> None:
        """End all workers. More than once is harmless."""
        with self._lock:
            self._closed = True
            workers, self._workers = self._workers, []
        for worker in workers:
            worker.close()

    def _bury(self) -> None:
        for worker in [worker for worker in self._workers if not worker.alive]:
            self._workers.remove(worker)
            worker.close()


def main() -> None:
    """What a worker process does: answer requests until there are no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(os, "nice"):
        os.nice(5)  # the event loop goes first
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # a stray print must not get among the answers
    with suppress(BrokenPipeError):
        serve(sys.stdin.buffer, answers)
    os._exit(0)  # the parent is gone or has no more use for us: nothing is worth a tidy exit


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer requests until the stream ends."""
    objects: dict[int, object] = {}
    while True:
        try:
            dropped, *request = pickle.load(requests)  # noqa: S301 - our own parent, over a private pipe
        except (EOFError, pickle.UnpicklingError):
            return
        for name in dropped:
            objects.pop(name, None)
        try:
            answer = (True, perform(objects, *request))
        except EngineError as error:
            answer = (False, str(error))
        except Exception as error:
            answer = (False, f"the local engine failed: {type(error).__name__}: {error}")
        pickle.dump(answer, answers)
        answers.flush()


def perform(objects: dict[int, object], verb: str, name: int, what: str, args: tuple[object, ...]) -> object:
    """One request: create or call."""
    if verb == "call":
        return getattr(objects[name], what)(*args)
    module, _, factory = what.partition(":")
    objects[name] = getattr(import_module(module), factory)(*args)
    return None
