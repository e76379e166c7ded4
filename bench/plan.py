"""What `make bench` measures: with which settings, how often, and what of it is shown."""

from __future__ import annotations

from typing import Any, NamedTuple

from bench.peers import ASYNCIO, BY_HAND, BY_HAND_AIOHTTP, OFFICIAL, PEERS, Peer

FAST = "ours: fast"
OUR_PLUGIN = "our LiveKit plugin"


class Figure(NamedTuple):
    """One column: the worker's key, its heading, decimals; and whose figure of the same round it is divided by."""

    key: str
    heading: str
    decimals: int = 0
    beside: str = ""


class Measure(NamedTuple):
    """One measurement of each client. `quick` is what `--quick` has instead of `settings`: None for not at all.

    only: of these clients. works: the worker's name for it, unless it is its own.
    """

    name: str
    title: str
    figures: tuple[Figure, ...]
    settings: dict[str, Any]
    quick: dict[str, Any] | None
    rounds: int
    only: frozenset[str] = frozenset()
    works: str = ""
    tls: bool = False

    def peers(self, quick: bool) -> list[Peer]:
        """Whom it is taken of, in the order of the table."""
        chosen = (peer for peer in PEERS if peer.takes(self.name) and (not quick or peer.name in MAIN))
        if self.name == "import":
            return [peer for peer in chosen if peer.imports]
        return [peer for peer in chosen if not self.only or peer.name in self.only]


MAIN = frozenset(
    {
        OFFICIAL,
        "official SDK",
        BY_HAND,
        BY_HAND_AIOHTTP,
        "by hand: picows, msgspec",
        ASYNCIO,
        FAST,
        OUR_PLUGIN,
    }
)
"""Those that `--quick` is about, and the longest measurements."""

_PLUGINS = frozenset({OFFICIAL, OUR_PLUGIN})
_GROWING = frozenset({OFFICIAL, ASYNCIO, FAST})

MEASURES = (
    Measure(
        "stt",
        "Speech to text at maximum speed, 50 ms packets: CPU µs per second of audio",
        (Figure("cpu_us", "STT CPU µs/s", 0, OFFICIAL),),
        {"seconds": 120},
        {"seconds": 40},
        5,
    ),
    Measure(
        "stt10",
        "The LiveKit plugins with 10 ms frames: CPU µs per second of audio",
        (Figure("cpu_us", "CPU µs/s, 10 ms frames", 0, OFFICIAL),),
        {"seconds": 120, "frame_ms": 10},
        {"seconds": 40, "frame_ms": 10},
        5,
        _PLUGINS,
        "stt",
    ),
    Measure(
        "tts",
        "Text to speech at maximum speed: CPU µs per second of 24 kHz audio",
        (Figure("cpu_us", "TTS CPU µs/s", 0, OFFICIAL),),
        {"texts": 2, "pieces": 250},
        {"texts": 1, "pieces": 150},
        5,
    ),
    Measure(
        "speech",
        "Short texts over a warm connection: text sent to first audio; first audio to knowing the end, all audio "
        "being sent at once",
        (Figure("first_ms", "first audio ms", 2), Figure("end_ms", "end known ms", 2)),
        {"texts": 5},
        {"texts": 2},
        2,
    ),
    Measure(
        "paced",
        "100 streams in real time: latency from server send to event, and CPU µs per second of audio",
        (
            Figure("p50_us", "p50 µs", 0, OFFICIAL),
            Figure("p99_us", "p99 µs", 0, OFFICIAL),
            Figure("cpu_us", "real-time CPU µs/s", 0, OFFICIAL),
        ),
        {"streams": 100, "seconds": 3},
        {"streams": 50, "seconds": 1},
        2,
    ),
    Measure(
        "memory",
        "Resident memory for each stream more, once finals have covered its audio",
        (Figure("kb", "kB/stream", 1),),
        {"streams": 200},
        {"streams": 50},
        2,
    ),
    Measure("import", "Importing it, in a fresh process", (Figure("ms", "import ms"),), {}, {}, 3),
    Measure(
        "connect",
        "A stream without audio, from connecting to its confirmed end",
        (Figure("ms", "connect ms", 2), Figure("cpu_us", "connect CPU µs")),
        {"connections": 60},
        {"connections": 15},
        2,
    ),
    Measure(
        "tls",
        "The same over TLS",
        (Figure("ms", "TLS connect ms", 2), Figure("cpu_us", "TLS connect CPU µs")),
        {"connections": 40},
        None,
        2,
        works="connect",
        tls=True,
    ),
    Measure(
        "streams",
        "Real-time streams that one core holds: p99 of the latency below 50 ms",
        (Figure("streams", "streams/core", 0, OFFICIAL),),
        {"window": 1.5},
        None,
        1,
        MAIN,
    ),
    *(
        Measure(
            f"growth, {count} streams",
            f"CPU µs per second of audio, {count} streams in real time",
            (Figure("cpu_us", f"{count} streams"),),
            {"streams": count, "seconds": 2},
            None,
            1,
            _GROWING,
            "paced",
        )
        for count in (1, 10, 100, 1000)
    ),
    *(
        Measure(
            f"growth, {minutes} min",
            f"CPU µs per second of audio, one stream of {minutes} minutes at maximum speed",
            (Figure("cpu_us", f"{minutes} min"), Figure("grown_kb", f"kB grown, {minutes} min")),
            {"seconds": 60 * minutes},
            None,
            1,
            _GROWING,
            "stt",
        )
        for minutes in (1, 60)
    ),
)  # fmt: skip
MICRO = "micro"
GROUPS = (*(measure.name for measure in MEASURES if not measure.name.startswith("growth")), "growth", MICRO)
