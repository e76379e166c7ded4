"""What is asked of ours, each beside what it is measured against: data for the first table of the report."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from bench.peers import (
    ASYNCIO,
    BY_HAND,
    BY_HAND_AIOHTTP,
    BY_HAND_PICOWS,
    FAST,
    FAST_WHOLE_TEXTS,
    OFFICIAL,
    OUR_PLUGIN,
    OUR_PLUGIN_FAST,
    PEERS,
    TRIO,
    WHOLE_TEXTS,
)

if TYPE_CHECKING:
    from bench.rounds import Results

BEST_PEER = "the best peer"
NOISE = 1.2
"""A cost that stays the same is still measured a little higher now and then."""


class Target(NamedTuple):
    """A figure of one client that shall be `most` at most or, with `least`, that much at least.

    beside: the client whose figure of the same round it is divided by; "" for the figure itself.
    other_measure: and from which measurement that is, unless from the same one.
    """

    words: str
    measure: str
    key: str
    client: str
    most: float | None = None
    least: float | None = None
    beside: str = ""
    other_measure: str = ""

    @property
    def asked(self) -> str:
        """The bound as text."""
        return f"≤ {self.most:,}" if self.most is not None else f"≥ {self.least:,}"

    def measured(self, results: Results) -> tuple[float, str] | None:
        """What it came to, and for `BEST_PEER` which one that was; None if it was not measured."""
        beside = self.beside
        if beside == BEST_PEER:
            peers = {
                p.name: s
                for p in PEERS
                if not p.ours and (s := results.spread(self.measure, p.name, self.key))
            }
            if not peers:
                return None
            beside = min(peers, key=lambda name: peers[name].middle)
        if not beside:
            spread = results.spread(self.measure, self.client, self.key)
            return None if spread is None else (spread.middle, "")
        ratio = results.ratio(self.measure, self.client, self.key, beside, self.other_measure)
        return None if ratio is None else (ratio, beside if self.beside == BEST_PEER else "")

    @property
    def compared(self) -> bool:
        """Whether a bare client of the protocol, as it is, compares with others too."""
        return "LiveKit" not in self.client and self.beside in (OFFICIAL, BY_HAND, BY_HAND_AIOHTTP, BEST_PEER)

    def met(self, value: float) -> bool:
        """Whether that is enough."""
        return (self.most is None or value <= self.most) and (self.least is None or value >= self.least)


_FAST = "with the extra `fast`"

TARGETS = (
    Target("STT CPU, default asyncio transport, of the official plugin",
           "stt", "cpu_us", ASYNCIO, 0.6, beside=OFFICIAL),
    Target("STT CPU, default asyncio transport, of websockets by hand",
           "stt", "cpu_us", ASYNCIO, 1.0, beside=BY_HAND),
    Target(f"STT CPU, {_FAST}, of the official plugin", "stt", "cpu_us", FAST, 0.3, beside=OFFICIAL),
    Target(f"STT CPU, {_FAST}, of aiohttp by hand",
           "stt", "cpu_us", FAST, 1.0, beside=BY_HAND_AIOHTTP),
    Target("TTS CPU, default asyncio transport, of the official plugin",
           "tts", "cpu_us", ASYNCIO, 0.33, beside=OFFICIAL),
    Target(f"TTS CPU, {_FAST}, of the official plugin", "tts", "cpu_us", FAST, 0.2, beside=OFFICIAL),
    Target("Time to first audio of a whole text, of the best peer's",
           "speech", "first_ms", WHOLE_TEXTS, 1.0, beside=BEST_PEER),
    Target(f"Time to first audio of a whole text, {_FAST}, of the best peer's",
           "speech", "first_ms", FAST_WHOLE_TEXTS, 1.0, beside=BEST_PEER),
    Target("Time to first audio in a context, of the official plugin's",
           "speech", "first_ms", ASYNCIO, 1.0, beside=OFFICIAL),
    Target("Time to first audio in a context, LiveKit plugin, of the official one's",
           "speech", "first_ms", OUR_PLUGIN, 1.0, beside=OFFICIAL),
    Target("ms until a confirmed end is known", "speech", "confirmed_ms", WHOLE_TEXTS, 5),
    Target("ms until an inferred end is known", "speech", "inferred_ms", ASYNCIO, 300),
    Target("ms until an inferred end is known, LiveKit plugin", "speech", "inferred_ms", OUR_PLUGIN, 300),
    Target("Streams per core, default asyncio transport, of the official plugin",
           "streams", "streams", ASYNCIO, least=1.8, beside=OFFICIAL),
    Target(f"Streams per core, {_FAST}, of the official plugin",
           "streams", "streams", FAST, least=4, beside=OFFICIAL),
    Target("Latency of 100 streams, p50, of the official plugin",
           "paced", "p50_us", ASYNCIO, 1.0, beside=OFFICIAL),
    Target("Latency of 100 streams, p99, of the official plugin",
           "paced", "p99_us", ASYNCIO, 1.0, beside=OFFICIAL),
    Target(f"Latency of 100 streams, p50, {_FAST}, of the official plugin",
           "paced", "p50_us", FAST, 1.0, beside=OFFICIAL),
    Target(f"Latency of 100 streams, p99, {_FAST}, of the official plugin",
           "paced", "p99_us", FAST, 1.0, beside=OFFICIAL),
    Target("kB for each stream more, its replay buffer empty", "memory", "kb", ASYNCIO, 16),
    Target(f"kB for each stream more, {_FAST}", "memory", "kb", FAST, 16),
    Target("kB that an hour-long stream adds: its buffer keeps 60 s of audio",
           "growth, 60 min", "grown_kb", ASYNCIO, 1920),
    Target("LiveKit STT CPU, 50 ms frames, of the official plugin",
           "stt", "cpu_us", OUR_PLUGIN, 0.75, beside=OFFICIAL),
    Target("LiveKit STT CPU, 10 ms frames, of the official plugin",
           "stt10", "cpu_us", OUR_PLUGIN, 0.75, beside=OFFICIAL),
    Target(f"LiveKit STT CPU, 50 ms frames, {_FAST}, of the official plugin",
           "stt", "cpu_us", OUR_PLUGIN_FAST, 0.5, beside=OFFICIAL),
    Target(f"LiveKit STT CPU, 10 ms frames, {_FAST}, of the official plugin",
           "stt10", "cpu_us", OUR_PLUGIN_FAST, 0.5, beside=OFFICIAL),
    Target("LiveKit streams at once on the defaults", "defaults", "streams", OUR_PLUGIN, least=60),
    Target("STT CPU, trio, of our asyncio transport", "stt", "cpu_us", TRIO, 1.6, beside=ASYNCIO),
    Target("STT CPU, anyio on asyncio, of our asyncio transport",
           "stt", "cpu_us", "ours: anyio on asyncio", 1.6, beside=ASYNCIO),
    Target("STT CPU, anyio on trio, of our asyncio transport",
           "stt", "cpu_us", "ours: anyio on trio", 1.6, beside=ASYNCIO),
    *(
        Target(f"{words}, {client.removeprefix('ours: ')}", measure, "cpu_us", client, NOISE, None, client, other)
        for words, measure, other in (
            ("CPU of a second of audio, an hour's stream to a minute's", "growth, 60 min", "growth, 1 min"),
            ("CPU of a second of audio, 1,000 streams to 100", "growth, 1,000 streams", "growth, 100 streams"),
            ("CPU of a second of speech, messages of 205 kB to 3", "growth, 205 kB", "growth, 3 kB"),
            ("CPU of a second of speech, 100 texts at once to one", "growth, 100 at once", "growth, 1 at once"),
        )
        for client in (ASYNCIO, FAST)
    ),
)  # fmt: skip


def named(measure: str) -> set[str]:
    """The clients that a target is about in this measurement: worth more rounds than the others."""
    about = [t for t in TARGETS if measure in (t.measure, t.other_measure)]
    least = {BY_HAND_PICOWS for t in about if t.compared}
    return least.union(*((t.client, t.beside) for t in about))


def asked_and_measured(results: Results) -> list[str]:
    """The lines of a Markdown table, of the targets that were measured or should have been; none if none was.

    Beside each what picows by hand comes to, which parses in C and does nothing else: about what a socket costs here.
    """
    rows = []
    for target in TARGETS:
        if (measured := target.measured(results)) is not None:
            value, peer = measured
            who = f" ({peer})" if peer else ""
            verdict = "" if target.met(value) else " **not met**"
            figure = f"{value:.2f}" if value < 100 else f"{value:,.0f}"
            bare = target._replace(client=BY_HAND_PICOWS).measured(results) if target.compared else None
            least = "" if bare is None else f"{bare[0]:.2f}"
            rows.append(f"| {target.words}{who} | {target.asked} | {figure}{verdict} | {least} |")
        elif (target.measure, target.client) in results.failures:
            rows.append(f"| {target.words} | {target.asked} | **failed** | |")
    return ["| | asked | measured | picows by hand |", "| --- | --- | --- | --- |", *rows] if rows else []
