"""The engines with models of their own: pocketsphinx recognises, hibari-tts speaks. No key, no network.

Both come with the extra `smallest-proto[local]`, their English models inside their wheels. They run in worker
processes (see `workers`), loaded on first use, or ahead of it with `preload`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from importlib.util import find_spec
from typing import cast

from smallest_proto.pulse.messages import ServerMessage
from smallest_transports.loopback.engines.base import EngineError, RecognizerSetup, Speech, SynthesizerSetup
from smallest_transports.loopback.engines.workers import Worker, WorkerPool

RECOGNIZERS = 4
"""Worker processes for recognition; about 130 MB each. Further sessions share them."""

_PACKAGE = "smallest_transports.loopback.engines"


def require(*packages: str) -> None:
    """Raise `EngineError` unless the packages are installed."""
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        raise EngineError(
            f"the local engine needs {' and '.join(missing)}: pip install 'smallest-proto[local]'"
        )


class LocalRecognizer:
    """Recognises English with pocketsphinx; a session in any other language is recognised as English too.

    Raises `EngineError` when the packages are missing. Call `close` at the end.
    """

    def __init__(self, workers: int = RECOGNIZERS) -> None:
        require("pocketsphinx", "numpy", "soxr")
        self._pool = WorkerPool(workers)

    def preload(self) -> None:
        """Start a worker and load its models; returns when they are there (about a second)."""
        self.open(RecognizerSetup()).close()

    def open(self, setup: RecognizerSetup) -> RemoteSession:
        """Begin a session. Raises `EngineError` for an encoding that cannot be decoded here (Opus)."""
        worker = self._pool.acquire()
        try:
            return RemoteSession(self._pool, worker, setup)
        except BaseException:
            self._pool.release(worker)
            raise

    def close(self) -> None:
        """End the worker processes."""
        self._pool.close()


class RemoteSession:
    """A session that lives in a worker process."""

    def __init__(self, pool: WorkerPool, worker: Worker, setup: RecognizerSetup) -> None:
        self._name = worker.create(f"{_PACKAGE}.local_recognizer:LocalSession", setup)
        self._pool = pool
        self._worker = worker
        self._open = True

    def feed(self, audio: bytes) -> Sequence[ServerMessage]:
        """See `RecognizerSession.feed`."""
        return self._call("feed", audio)

    def finalize(self) -> Sequence[ServerMessage]:
        """See `RecognizerSession.finalize`."""
        return self._call("finalize")

    def finish(self) -> Sequence[ServerMessage]:
        """See `RecognizerSession.finish`."""
        return self._call("finish")

    def close(self) -> None:
        """See `RecognizerSession.close`."""
        if self._open:
            self._open = False
            with suppress(EngineError):  # the worker is gone, and the session with it
                self._call("close")
            self._worker.drop(self._name)
            self._pool.release(self._worker)

    def _call(self, method: str, *args: object) -> Sequence[ServerMessage]:
        return cast("Sequence[ServerMessage]", self._worker.call(self._name, method, *args))


class LocalSynthesizer:
    """Speaks English with hibari-tts, 24 kHz inside, at any of Lightning's rates.

    `voice_id` may name a hibari voice whose model is on this machine; any other gives the built-in voice.
    Nothing is downloaded. Raises `EngineError` when the packages are missing. Call `close` at the end.
    """

    def __init__(self) -> None:
        require("hibari", "numpy", "soxr")
        self._pool = WorkerPool(1)

    def preload(self) -> None:
        """Start the worker and load its models; returns when they are there (about a second)."""
        for _ in self.speak(SynthesizerSetup(), "Hello."):
            pass

    def speak(self, setup: SynthesizerSetup, text: str) -> Iterator[Speech]:
        """Yield the speech for `text` in pieces of 50 ms, sentence by sentence. Word times are estimates."""
        with self._pool.borrow() as worker:
            name = worker.create(f"{_PACKAGE}.local_synthesizer:Utterance", setup, text)
            try:
                while pieces := cast("list[Speech]", worker.call(name, "next_sentence")):
                    yield from pieces
            finally:
                worker.drop(name)

    def close(self) -> None:
        """End the worker process."""
        self._pool.close()
