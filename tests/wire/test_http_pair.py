"""Client and server against each other: what goes in on one side comes out on the other."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from smallest_proto.errors import LocalProtocolError, ServerError
from smallest_proto.events import NEED_DATA
from smallest_proto.testing import Cut, bytewise, random_cuts, whole
from smallest_proto.wire.http import HttpServerWire, HttpWire
from smallest_proto.wire.http_events import (
    BodyReceived,
    ExchangeEnded,
    ExchangeFailed,
    RequestEnded,
    RequestStarted,
    ResponseStarted,
)
from wire.http_recording import body_of, events, request

bodies = st.one_of(st.lists(st.binary(max_size=100), max_size=4), st.just([bytes(range(256)) * 8]))
cuts = st.one_of(st.just(whole), st.just(bytewise), st.builds(random_cuts, st.integers().map(Random)))


class Pair:
    """Carries bytes to and fro until both are silent."""

    def __init__(self, cut: Cut) -> None:
        self.client, self.server, self.cut = HttpWire(), HttpServerWire(), cut

    def run(self) -> None:
        for source, target in ((self.client, self.server), (self.server, self.client)):
            for piece in self.cut(source.data_to_send()):
                target.receive_data(piece, 0.0)
        if self.server.finished:
            self.client.receive_eof(0.0)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["GET", "POST", "PUT"]),
            st.booleans(),
            bodies,
            st.sampled_from([200, 202, 301, 404, 500]),
            st.booleans(),
            bodies,
        ),
        max_size=4,
    ),
    cuts,
)
def test_exchanges_on_one_connection(
    exchanges: list[tuple[str, bool, list[bytes], int, bool, list[bytes]]], cut: Cut
) -> None:
    pair = Pair(cut)
    client, server = pair.client, pair.server
    for method, uploads, pieces, status, streams, answer in exchanges:
        assert client.reusable
        client.start(request(method, b"" if uploads else b"".join(pieces)), 0.0, streaming=uploads)
        if uploads:
            for piece in pieces:
                client.send_body(piece, 0.0)
                pair.run()
            client.end_body(0.0)
        pair.run()
        started, *body, ended = events(server)
        assert isinstance(started, RequestStarted)
        assert (started.method, started.target, ended) == (method, "/x?a=1", RequestEnded())
        assert body_of(body) == b"".join(pieces)
        server.respond(status, 0.0, [("A", "b")], None if streams else b"".join(answer))
        if streams:
            for piece in answer:
                server.send_body(piece, 0.0)
                pair.run()
            server.end_body(0.0)
        pair.run()
        found = events(client)
        if status < 300:
            assert isinstance(found[0], ResponseStarted)
            assert ("a", "b") in found[0].headers
            assert body_of(found) == b"".join(answer)
            assert found[-1] == ExchangeEnded(reusable=True)
        else:
            (failed,) = found
            assert isinstance(failed, ExchangeFailed)
            assert isinstance(failed.error, ServerError)
            assert failed.error.status == status


@given(st.integers(0, 2**32), cuts)
def test_a_random_walk_of_both_ends(seed: int, cut: Cut) -> None:
    """Whatever the callers do, refusals aside nothing raises, and every exchange has one end."""
    random = Random(seed)
    pair = Pair(cut)
    starts = ends = 0
    for _ in range(40):
        wire = random.choice([pair.client, pair.server])
        try:
            match random.randrange(8):
                case 0 if wire is pair.client:
                    pair.client.start(request(), 0.0, streaming=random.random() < 0.7)
                    starts += 1
                case 0 if wire is pair.server:
                    pair.server.respond(random.choice([200, 404]), 0.0, body=random.choice([None, b"", b"x"]))
                case 1 | 2:
                    wire.send_body(b"x" * random.randrange(5), 0.0)
                case 3:
                    wire.end_body(0.0)
                case 4 if random.random() < 0.1:
                    wire.close(0.0)
                case _:
                    pair.run()
        except LocalProtocolError:
            pass
        while (event := pair.client.next_event()) is not NEED_DATA:
            ends += isinstance(event, ExchangeEnded | ExchangeFailed)
            assert isinstance(event, ResponseStarted | BodyReceived | ExchangeEnded | ExchangeFailed)
        assert starts - ends == (not pair.client.reusable and not pair.client.finished)
