"""A session, a network that drops, and a recogniser that reports exactly the audio it heard: simulated time.

Each sample holds its own number, so the recogniser knows what it was sent, and every word it reports is named
`first-last` by the samples it stands for. The server end is a `PulseConnection` in the server role.

    python -m pulse.session.simulator 1000      # in tests/: that many seeds, and a summary
"""

from __future__ import annotations

import itertools
import sys
import time
from array import array
from bisect import bisect_right
from collections import Counter, deque
from collections.abc import Iterator
from random import Random

import msgspec

from smallest_proto.errors import ConnectFailed, HandshakeRejected, ProtocolError
from smallest_proto.events import NEED_DATA, ConnectionClosed, Event, Role
from smallest_proto.pulse import (
    Audio,
    AudioDropped,
    AudioReceived,
    CloseStream,
    CloseStreamReceived,
    ErrorMessage,
    Finalize,
    FinalizeReceived,
    FinalTranscript,
    PulseConnection,
    PulseOptions,
    PulseSession,
    Reconnecting,
    Resumed,
    ResumePolicy,
    SessionConnection,
    SpeechEnded,
    SpeechStarted,
    StreamEnded,
    TranscriptMessage,
    VadMessage,
    Word,
)

RATE = 8000
WIDTH = 4
TOLERANCE = 0.020


def pcm(begin: int, end: int) -> bytes:
    """The samples from `begin` to `end`, each its own number."""
    return array("I", range(begin, end)).tobytes()


def speech(random: Random, seconds: float) -> list[tuple[int, int]]:
    """Words as (first sample, one past the last), with the pauses of someone talking."""
    words: list[tuple[int, int]] = []
    at = random.randint(0, RATE)
    while True:
        for _ in range(random.randint(1, 12)):
            length = random.randint(int(0.12 * RATE), int(0.6 * RATE))
            if at + length > seconds * RATE:
                return words
            words.append((at, at + length))
            at += length + random.choice((0, 0, random.randint(0, int(0.15 * RATE))))
        at += random.randint(int(0.7 * RATE), 2 * RATE)


class Recogniser:
    """Hears samples, answers with messages. Its clock starts with the first sample of its connection."""

    def __init__(self, words: list[tuple[int, int]], options: PulseOptions, world: World) -> None:
        self.words = words
        self.options = options
        self.random = random = world.random
        self.flags = world.flags
        self.jitter = world.jitter
        self.first: int | None = None
        self.heard = 0
        self.reported = 0
        self.next_interim = 0
        self.rollover = random.randint(3, 8)
        self.speaking = False
        self.ended: int | None = None
        self.session_id = f"s{random.getrandbits(32):x}"
        # where it looks for words: those before are done with
        self.index = 0

    def hear(self, audio: bytes) -> list[TranscriptMessage | VadMessage]:
        samples = array("I", audio)
        if self.first is None:
            self.first = self.heard = self.reported = samples[0]
            self.next_interim = self.first + RATE // 2
            while self.index < len(self.words) and self.words[self.index][1] <= self.first:
                self.index += 1
        assert samples[0] == self.heard, "audio is missing, doubled or out of order within a connection"
        assert samples[-1] == samples[0] + len(samples) - 1
        answers: list[TranscriptMessage | VadMessage] = []
        end = samples[-1] + 1
        while self.heard < end:
            self.heard = min(end, self.heard + RATE // 20)
            answers += self._listen()
        return answers

    def final(self, *, answers: bool = False, last: bool = False) -> TranscriptMessage:
        pieces = list(self._pieces(self.heard))
        self.reported = max(self.reported, self.heard)
        return self._message(pieces, final=True, answers=answers, last=last)

    def _listen(self) -> Iterator[TranscriptMessage | VadMessage]:
        """One step of 50 ms was heard."""
        assert self.first is not None
        while self.index < len(self.words) and self.words[self.index][1] <= self.reported:
            self.index += 1
        near = self.words[max(0, self.index - 2) : self.index + 14]
        talking = any(a < self.heard <= b for a, b in near)
        last_end = max((b for a, b in near if a < self.heard), default=None)
        silence = 0.0 if talking or last_end is None else (self.heard - last_end) / RATE
        if self.options.vad_events:
            if talking and not self.speaking:
                self.speaking = True
                start = max(self.first, max(a for a, b in near if a < self.heard))
                yield VadMessage(
                    type="speech_started", session_id=self.session_id, timestamp=self._clock(start)
                )
            if self.speaking and silence >= 0.3 and last_end is not None:
                self.speaking = False
                yield VadMessage(
                    type="speech_ended", session_id=self.session_id, timestamp=self._clock(last_end)
                )
        whole = [b for a, b in near if b <= self.heard and b > self.reported]
        if len(whole) > self.rollover:  # a word rolls over when the next has been heard
            end = whole[self.rollover - 1]
            pieces = list(self._pieces(end))
            self.reported = end
            self.rollover = self.random.randint(3, 8)
            yield self._message(pieces, final=True)
        elif whole and not talking and silence >= 0.6:
            yield self.final()
        elif self.heard >= self.next_interim:
            self.next_interim = self.heard + RATE // 2
            if pieces := list(self._pieces(self.heard)):
                yield self._message(pieces, final=False)

    def _pieces(self, end: int) -> Iterator[tuple[int, int]]:
        """The words heard and not reported, cut to what was heard."""
        for a, b in self.words[self.index : self.index + 14]:
            begin, stop = max(a, self.reported), min(b, end)
            if begin < stop:
                yield begin, stop

    def _clock(self, sample: int) -> float:
        assert self.first is not None
        return (sample - self.first) / RATE

    def _about(self, sample: int) -> float:
        return max(0.0, self._clock(sample) + self.random.uniform(-self.jitter, self.jitter))

    def _message(
        self, pieces: list[tuple[int, int]], *, final: bool, answers: bool = False, last: bool = False
    ) -> TranscriptMessage:
        words = tuple(Word(f"{a}-{b}", self._about(a), self._about(b), confidence=0.9) for a, b in pieces)
        return TranscriptMessage(
            session_id=self.session_id,
            transcript=" ".join(word.word for word in words),
            is_final=final,
            is_last=last,
            from_finalize=answers if self.flags and final else None,
            words=words if self.options.word_timestamps and final else (),
        )


class Network:
    """One connection between the session and a recogniser, with a delay each way, until it drops."""

    def __init__(self, connection: SessionConnection, world: World) -> None:
        self.connection = connection
        self.server = PulseConnection(connection.options, Role.SERVER)
        self.recogniser = Recogniser(world.words, connection.options, world)
        self.world = world
        self.delay = world.random.uniform(0.01, 0.1)
        self.thinking = world.random.uniform(0.05, 0.8)
        self.upstream: deque[tuple[float, str | bytes]] = deque()
        self.downstream: deque[tuple[float, str | bytes]] = deque()
        self.opens_at: float | None = world.now + world.random.uniform(0.02, 0.4)
        self.closes_at: float | None = None
        self.over = False

    def next_time(self) -> float | None:
        times = [self.opens_at, self.closes_at, self.connection.next_deadline()]
        times += [queue[0][0] for queue in (self.upstream, self.downstream) if queue]
        return min((at for at in times if at is not None), default=None)

    def end(self, now: float, code: int = 1006, error: ProtocolError | None = None) -> None:
        self.over = True
        self.connection.receive_close(code, "", now, error=error)

    def run(self, now: float, failure: ProtocolError | None) -> None:
        if self.opens_at is not None and now >= self.opens_at:
            self.opens_at = None
            if failure is not None or self.connection.close_requested:
                self.end(now, error=failure)
                return
            self.connection.receive_open(now)
        while self.upstream and self.upstream[0][0] <= now:
            self.server.receive_message(self.upstream.popleft()[1], now)
            while (event := self.server.next_event()) is not NEED_DATA:
                self._answer(event, now)
        while not self.over and self.downstream and self.downstream[0][0] <= now:
            self.connection.receive_message(self.downstream.popleft()[1], now)
        if not self.over and self.closes_at is not None and now >= self.closes_at:
            self.end(now, 1000)

    def pump(self, now: float) -> None:
        """What the session has to say goes on its way."""
        while self.connection.next_event() is not NEED_DATA:
            pass
        for message in self.connection.messages_to_send():
            self.upstream.append((now + self.delay, message))
        if self.connection.close_requested and self.closes_at is None and self.opens_at is None:
            self.closes_at = now + 2 * self.delay

    def _answer(self, event: Event, now: float) -> None:
        if isinstance(event, AudioReceived):
            for message in self.recogniser.hear(event.audio):
                self.server.send(message, now)
        elif isinstance(event, FinalizeReceived | CloseStreamReceived):
            self.world.heard_asking.add(self.recogniser.heard)
        if isinstance(event, FinalizeReceived):
            self.server.send(self.recogniser.final(answers=True), now)
        elif isinstance(event, CloseStreamReceived):
            self.server.send(self.recogniser.final(last=True), now)
        at = now + self.delay + self.thinking
        self.downstream.extend((at, message) for message in self.server.messages_to_send())
        if self.server.close_requested:
            self.closes_at = at


class World:
    """A caller who talks for a while, a session, and a schedule of troubles; all from one seed."""

    def __init__(self, seed: int, *, seconds: float = 60.0, drops: int | None = None) -> None:
        self.random = random = Random(seed)
        self.now = 0.0
        self.seconds = seconds
        self.flags = random.random() < 0.5
        self.jitter = random.choice((0.0, 0.0, 0.01))
        self.finalizes: list[int] = []
        self.heard_asking: set[int] = set()
        self.most_kept = 0.0
        self.options = PulseOptions(
            encoding="linear32",
            sample_rate=RATE,
            word_timestamps=random.random() < 0.6,
            vad_events=random.choice((None, True)),
            endpoint=random.choice(("get_text", "live")),
            packet_ms=random.choice((20, 50, 100)),
        )
        self.policy = ResumePolicy(
            retry_first=True,
            replay_pace=random.choice((None, None, 4.0)),
            overlap=random.choice((0.25, 0.25, 0.0)),
        )
        self.words = speech(random, seconds)
        self.session = PulseSession(self.options, policy=self.policy, random=random.random)
        self.networks: list[Network] = []
        self.events: list[Event] = []
        self.failing = 0.0
        count = random.randint(0, 10) if drops is None else drops
        self.schedule = sorted(
            [(random.uniform(0, seconds + 1), "drop") for _ in range(count)]
            + [(random.uniform(0, seconds), "finalize") for _ in range(random.randint(0, 4))]
            + [(random.uniform(0, seconds), "migrate") for _ in range(random.randint(0, 2))]
            + [(random.uniform(0, seconds), "update") for _ in range(random.randint(0, 2))]
        )
        self.drops = 0
        self.fed = 0
        self.next_feed: float | None = 0.0

    def run(self) -> list[Event]:
        """Until the session has ended. Returns its events."""
        self._settle()
        for _ in range(200_000):
            if self.session.closed is not None:
                return self.events
            times = [network.next_time() for network in self.networks]
            times += [self.session.next_deadline(), self.next_feed]
            times += [self.schedule[0][0]] if self.schedule else []
            self.now = max(self.now, min(at for at in times if at is not None))
            self._step()
            self._settle()
        raise AssertionError("the session does not end")

    def _step(self) -> None:
        now = self.now
        while self.schedule and self.schedule[0][0] <= now:
            self._trouble(self.schedule.pop(0)[1])
        if self.next_feed is not None and self.next_feed <= now:
            self._feed()
        for network in list(self.networks):
            network.connection.handle_timeout(now)
            network.run(now, self._failure())
        self.session.handle_timeout(now)

    def _feed(self) -> None:
        step = self.random.randint(RATE // 50, RATE // 8)
        end = min(int(self.seconds * RATE), self.fed + step)
        self.session.send(Audio(pcm(self.fed, end)), self.now)
        self.fed = end
        self.next_feed = end / RATE
        if end == int(self.seconds * RATE):
            self.next_feed = None
            self.session.send(CloseStream(), self.now)

    def _trouble(self, kind: str) -> None:
        if kind == "finalize" and self.next_feed is not None:
            self.session.send(Finalize(), self.now)
            self.finalizes.append(self.fed)
        elif kind == "migrate" and self.session.closed is None:
            self.session.migrate(self.now)
        elif kind == "update" and self.next_feed is not None:
            options = msgspec.structs.replace(self.session.options, language=self.random.choice(("en", "hi")))
            self.session.update_options(options, self.now)
        elif kind == "drop":
            self._drop()

    def _drop(self) -> None:
        self.drops += 1
        for network in self.networks:
            if self.random.random() < 0.15:
                message = ErrorMessage(error_code="INTERNAL", message="no")
                network.connection.receive_message(msgspec.json.encode(message).decode(), self.now)
            network.end(self.now, self.random.choice((1006, 1006, 1001, 1011, 1012, 1013)))
        if self.random.random() < 0.3:
            self.failing = self.now + self.random.uniform(0.1, 3.0)

    def _failure(self) -> ProtocolError | None:
        if self.now >= self.failing:
            return None
        return self.random.choice(
            (ConnectFailed("no route"), HandshakeRejected("busy", status=503, retry_after=0.2))
        )

    def _settle(self) -> None:
        while (connection := self.session.next_connection()) is not None:
            self.networks.append(Network(connection, self))
        for network in self.networks:
            network.pump(self.now)
        self.networks = [network for network in self.networks if not network.over]
        while (event := self.session.next_event()) is not NEED_DATA:
            self.events.append(event)
        self.most_kept = max(self.most_kept, self.session.kept_seconds)


def check(world: World, events: list[Event]) -> None:
    """The promises of a session, whatever happened to its connections."""
    heard: list[tuple[int, int]] = []
    for event in events:
        if not isinstance(event, FinalTranscript):
            continue
        names = event.text.split()
        heard += [(int(a), int(b)) for a, _, b in (name.partition("-") for name in names)]
        if event.words:
            assert [word.word for word in event.words] == names
        for word in event.words:
            a, _, b = word.word.partition("-")
            assert abs(word.start - int(a) / RATE) <= TOLERANCE, f"{word} is not when it was said"
            assert abs(word.end - int(b) / RATE) <= TOLERANCE, f"{word} is not when it was said"
    check_said(heard, world.words, round(2 * world.jitter * RATE))
    assert not set(world.finalizes) - world.heard_asking, "a finalize was lost"
    assert world.most_kept <= world.policy.keep_seconds
    check_turns(events)
    assert not [event for event in events if isinstance(event, AudioDropped)]
    ended, closed = events[-2:]
    assert isinstance(ended, StreamEnded)
    assert ended.confirmed
    assert isinstance(closed, ConnectionClosed)
    assert closed.expected
    check_told(events)


def check_said(pieces: list[tuple[int, int]], words: list[tuple[int, int]], slack: int) -> None:
    """Every sample of every word was said, in order, and none twice; `slack` samples more or less at a cut."""
    starts = [a for a, _ in words]
    heard = [0] * len(words)
    before = 0
    for a, b in pieces:
        assert a >= before - slack, f"said twice or out of order: {a}-{b} after {before}"
        before = b
        heard[bisect_right(starts, a) - 1] += b - a
    for (a, b), samples in zip(words, heard, strict=True):
        assert abs(samples - (b - a)) <= slack, f"{samples} samples were said of the word {a}-{b}"


def check_turns(events: list[Event]) -> None:
    open_turn = False
    for event in events:
        if isinstance(event, SpeechStarted | SpeechEnded):
            assert open_turn is isinstance(event, SpeechEnded), "START and END do not alternate"
            open_turn = not open_turn
    assert not open_turn


def check_told(events: list[Event]) -> None:
    """Between two `Resumed` that are not planned there is a `Reconnecting`."""
    attempt = 0
    for event in events:
        if isinstance(event, Reconnecting):
            attempt = event.attempt
        elif isinstance(event, Resumed) and event.attempt:
            assert event.attempt == attempt


def main(seeds: int, first: int = 0) -> int:
    """Run the seeds, print a summary; the number of failures."""
    began, failed, totals = time.perf_counter(), [], Counter[str]()
    for seed in range(first, first + seeds):
        world = World(seed)
        try:
            events = world.run()
            check(world, events)
        except AssertionError as error:
            failed.append(seed)
            print(f"seed {seed}: {str(error).splitlines()[0] if str(error) else 'assertion'}")
            continue
        totals["drops"] += world.drops
        totals["words said"] += len(world.words)
        for event in events:
            totals[type(event).__name__] += 1
            if isinstance(event, Resumed):
                totals["seconds replayed"] += round(event.replayed)
        words, vad = ("words" if world.options.word_timestamps else "text"), bool(world.options.vad_events)
        totals[f"mode {words}{' vad' if vad else ''} {world.options.endpoint}"] += 1
    print(f"{seeds} schedules in {time.perf_counter() - began:.0f} s: {len(failed)} failed {failed[:20]}")
    for name, count in sorted(totals.items()):
        print(f"  {name}: {count}")
    return len(failed)


if __name__ == "__main__":
    sys.exit(main(*map(int, itertools.islice(sys.argv[1:], 2))) != 0)
