"""What `make bench` measures: with which settings, how often, and what of it is shown."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from bench.peers import (
    ASYNCIO,
    BY_HAND,
    BY_HAND_AIOHTTP,
    BY_HAND_PICOWS,
    FAST,
    FAST_UVLOOP,
    FAST_WHOLE_TEXTS,
    OFFICIAL,
    OUR_PLUGIN,
    OUR_PLUGIN_FAST,
    PEERS,
    SDK,
    TRIO,
    WHOLE_TEXTS,
    Peer,
)


class Figure(NamedTuple):
    """One column: the worker's key, its heading, decimals; and whose figure of the same round it is divided by."""

    key: str
    heading: str
    decimals: int = 0
    beside: str = ""


class Measure(NamedTuple):
    """One measurement of each client. `quick` is what `--quick` has instead of `settings`: None for not at all.

    takes: about so many seconds for one client. only: of these clients. works: the worker's name for it, unless it
    is its own.
    """

    name: str
    title: str
    figures: tuple[Figure, ...]
    settings: dict[str, Any]
    quick: dict[str, Any] | None
    rounds: int
    takes: float
    only: frozenset[str] = frozenset()
    works: str = ""
    tls: bool = False

    def peers(self, quick: bool, clients: Collection[str] = ()) -> list[Peer]:
        """Whom it is taken of, in the order of the table: of these clients if any are named."""
        chosen = [peer for peer in PEERS if peer.takes(self.name)]
        if clients:
            chosen = [peer for peer in chosen if peer.name in clients]
        else:
            chosen = [peer for peer in chosen if not quick or peer.name in MAIN]
            chosen = [peer for peer in chosen if not self.only or peer.name in self.only]
        return [peer for peer in chosen if not peer.missing() and (peer.imports or self.name != "import")]


class Growth(NamedTuple):
    """A cost for each second of audio that must not rise as something grows: the panel of the plot, and its points."""

    title: str
    unit: str
    works: str
    points: Mapping[int, dict[str, Any]]
    takes: float
    only: frozenset[str]
    figures: tuple[Figure, ...] = ()
    rounds: int = 1

    def name(self, point: int) -> str:
        """The name of the measure at this point."""
        return f"growth, {point:,} {self.unit}"

    def measures(self) -> Iterable[Measure]:
        """One for each point."""
        for point, settings in self.points.items():
            at = f"{point:,} {self.unit}"
            more = tuple(figure._replace(heading=f"{figure.heading}, {at}") for figure in self.figures)
            figures = (Figure("cpu_us", at), *more)
            title = f"{self.title}: CPU µs per second of audio"
            yield Measure(
                self.name(point),
                title,
                figures,
                settings,
                None,
                self.rounds,
                self.takes,
                self.only,
                self.works,
            )


MAIN = frozenset(
    {
        OFFICIAL,
        SDK,
        BY_HAND,
        BY_HAND_AIOHTTP,
        BY_HAND_PICOWS,
        ASYNCIO,
        FAST,
        FAST_UVLOOP,
        OUR_PLUGIN,
        OUR_PLUGIN_FAST,
    }
)
"""Those that `--quick` is about."""

_PLUGINS = frozenset({OFFICIAL, OUR_PLUGIN, OUR_PLUGIN_FAST})
_PACED = frozenset({OFFICIAL, BY_HAND_AIOHTTP, BY_HAND_PICOWS, ASYNCIO, FAST, TRIO, OUR_PLUGIN})
_RESIDENT = _PACED | {BY_HAND, SDK}
_SPEAKING = _RESIDENT | {f"{OFFICIAL}, continue/flush", WHOLE_TEXTS, FAST_WHOLE_TEXTS}
_HELD = frozenset({OFFICIAL, ASYNCIO, FAST})
_OURS_GROWING = frozenset({ASYNCIO, FAST, TRIO})
_GROWING = _OURS_GROWING | {OFFICIAL}

GROWTH = (
    Growth(
        "Streams in real time",
        "streams",
        "paced",
        {count: {"streams": count, "seconds": 1.5} for count in (1, 10, 100, 1000)},
        4,
        _HELD,
    ),
    Growth(
        "The length of one stream at maximum speed",
        "min",
        "stt",
        {minutes: {"seconds": 60 * minutes} for minutes in (1, 60)},
        1,
        _GROWING,
        (Figure("grown_kb", "kB grown"),),
        2,
    ),
    Growth(
        "The size of a message of speech",
        "kB",
        "tts",
        {
            round(64 * seconds): {"texts": 1, "pieces": round(160 / seconds), "piece_seconds": seconds}
            for seconds in (0.05, 0.2, 0.8, 3.2)
        },
        0.8,
        _GROWING,
    ),
    Growth(
        "Texts spoken at the same time over one pool",
        "at once",
        "contexts",
        {
            count: {"at_once": count, "texts": texts, "pieces": 100}
            for count, texts in ((1, 5), (10, 2), (100, 1))
        },
        1.5,
        _OURS_GROWING,
    ),
)

MEASURES: Sequence[Measure] = (
    Measure(
        "stt",
        "Speech to text at maximum speed, 50 ms packets: CPU µs per second of audio",
        (Figure("cpu_us", "STT CPU µs/s", 0, OFFICIAL),),
        {"seconds": 400},
        {"seconds": 40},
        5,
        0.5,
    ),
    Measure(
        "stt10",
        "The LiveKit plugins with 10 ms frames: CPU µs per second of audio",
        (Figure("cpu_us", "CPU µs/s, 10 ms frames", 0, OFFICIAL),),
        {"seconds": 400, "frame_ms": 10},
        {"seconds": 40, "frame_ms": 10},
        3,
        0.7,
        _PLUGINS,
        "stt",
    ),
    Measure(
        "tts",
        "Text to speech at maximum speed: CPU µs per second of 24 kHz audio",
        (Figure("cpu_us", "TTS CPU µs/s", 0, OFFICIAL),),
        {"texts": 1, "pieces": 1000},
        {"texts": 1, "pieces": 150},
        5,
        0.7,
    ),
    Measure(
        "speech",
        "Short texts over a warm connection: text sent to first audio; first audio, which is all sent at once, to "
        "knowing the end, once the server has said `complete`: that is certain for a whole text and with "
        "continue/flush, inferred in a context, which may bring several",
        (
            Figure("first_ms", "first audio ms", 2),
            Figure("confirmed_ms", "end confirmed ms", 2),
            Figure("inferred_ms", "end inferred ms", 1),
        ),
        {"texts": 8},
        {"texts": 3},
        2,
        2.2,
        _SPEAKING,
    ),
    Measure(
        "silence",
        "The same in a context if the server says nothing after the audio",
        (Figure("inferred_ms", "end by silence ms"),),
        {"texts": 1, "silently": True},
        None,
        1,
        4,
        frozenset({OFFICIAL, ASYNCIO}),
        "speech",
    ),
    Measure(
        "paced",
        "100 streams in real time: latency from server send to event, and CPU µs per second of audio",
        (
            Figure("p50_us", "p50 µs", 0, OFFICIAL),
            Figure("p99_us", "p99 µs", 0, OFFICIAL),
            Figure("cpu_us", "real-time CPU µs/s", 0, OFFICIAL),
        ),
        {"streams": 100, "seconds": 2},
        {"streams": 50, "seconds": 1},
        5,
        3.8,
        _PACED,
    ),
    Measure(
        "memory",
        "Resident memory for each stream more, before its first audio",
        (Figure("kb", "kB/stream", 1),),
        {"streams": 500, "seconds": 0},  # memory grows by 128 kB and more at a time
        {"streams": 50, "seconds": 0},
        1,
        2.2,
        _RESIDENT,
    ),
    Measure(
        "heard",
        "The same once finals have covered two seconds of audio, of which a replay buffer keeps a little",
        (Figure("kb", "kB/stream, heard", 1),),
        {"streams": 200, "seconds": 2},
        {"streams": 50, "seconds": 2},
        1,
        1.8,
        _PACED,
        works="memory",
    ),
    Measure("import", "Importing it, in a fresh process", (Figure("ms", "import ms"),), {}, {}, 2, 0.2),
    Measure(
        "connect",
        "A stream without audio, from connecting to its confirmed end",
        (Figure("ms", "connect ms", 2), Figure("cpu_us", "connect CPU µs")),
        {"connections": 60},
        {"connections": 15},
        1,
        0.3,
    ),
    Measure(
        "tls",
        "The same over TLS",
        (Figure("ms", "TLS connect ms", 2), Figure("cpu_us", "TLS connect CPU µs")),
        {"connections": 40},
        None,
        1,
        0.5,
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
        20,
        _HELD,
    ),
    Measure(
        "defaults",
        "Of 100 LiveKit streams opened at once, on the framework's defaults, those that hear something within 6 s",
        (Figure("streams", "streams of 100"),),
        {"streams": 100, "seconds": 6},
        None,
        1,
        7,
        frozenset({OFFICIAL, OUR_PLUGIN}),
    ),
    *(measure for growth in GROWTH for measure in growth.measures()),
)  # fmt: skip
MICRO = "micro"
GROUPS = (*(measure.name for measure in MEASURES if not measure.name.startswith("growth")), "growth", MICRO)
