"""With the seed's arguments alone: the seed's URL, headers, packets, events and mappings."""

from typing import Any

import pytest

from livekit.plugins import smallest
from livekit_stt import (
    FINAL,
    TWICE,
    Heard,
    data_of,
    message,
    push,
    rest,
    saying,
    served,
    shown,
    talk,
    usage,
    word,
)
from smallest_transports.loopback import serve
from sockets import Peer, run, until

TARGET = "/pulse/get_text?language=en&encoding=linear16&sample_rate=16000&word_timestamps=true&diarize=false"


def test_the_request_is_the_seeds() -> None:
    heard = Heard()
    run(talk(heard=heard))
    assert heard.target() == TARGET
    headers = heard.headers()
    assert headers["authorization"] == "Bearer sk_test"
    assert headers["x-source"] == "livekit"
    assert headers["x-livekit-version"] == smallest.__version__


@pytest.mark.parametrize(
    ("options", "query"),
    [
        ({"eou_timeout_ms": 800}, "diarize=false&eou_timeout_ms=800"),
        ({"diarize": True, "word_timestamps": False}, "word_timestamps=false&diarize=true"),
        (
            {"language": "multi-eu", "sample_rate": 8000},
            "language=multi-eu&encoding=linear16&sample_rate=8000",
        ),
        ({"model": "pulse-2"}, "/pulse-2/get_text?"),
    ],
)
def test_options_travel_in_the_url(options: dict[str, Any], query: str) -> None:
    heard = Heard()
    run(talk(heard=heard, **options))
    assert query in heard.target()


def test_audio_goes_in_packets_of_50_ms_and_the_tail_at_its_length() -> None:
    heard = Heard()
    events = run(talk(heard=heard, seconds=0.23))
    assert heard.packets == [[1600] * 4 + [960]]
    assert heard.texts == [["close_stream"]]
    assert usage(events) == pytest.approx(0.23)


def test_two_turns() -> None:
    first = saying(
        message("turn on", is_final=False),
        message(
            "Turn on the lights. ",
            words=[word("Turn", 0.31, 0.52), word("lights.", 0.75, 1.2, confidence=0.5)],
        ),
        message("thanks", is_final=False),
    )

    async def answer(peer, said):  # type: ignore[no-untyped-def]
        if "close_stream" in said:
            peer.text(message("Thanks.", is_last=True))
            peer.close_frame(1000)
        else:
            await first(peer, said)

    events = run(talk(answer))
    assert shown(events) == [
        *("START", "INTERIM turn on", "FINAL Turn on the lights. ", "END"),
        *("START", "INTERIM thanks", "FINAL Thanks.", "END"),
    ]
    final = data_of(events)
    assert (final.start_time, final.end_time, final.confidence) == pytest.approx((0.31, 1.2, 0.9), abs=1e-3)
    assert final.words is not None
    assert [str(w) for w in final.words] == ["Turn", "lights."]
    assert [w.end_time for w in final.words] == pytest.approx([0.52, 1.2], abs=1e-3)
    assert final.language == "en"
    assert final.speaker_id is None


def test_against_the_local_server() -> None:
    async def main() -> None:
        async with serve(api_key="sk_test") as server:
            recogniser = smallest.STT(api_key="sk_test", base_url=server.url)
            metrics: list[object] = []
            recogniser.on("metrics_collected", metrics.append)
            async with recogniser.stream() as stream:
                push(stream, 2.5)
                stream.end_input()
                events = await rest(stream)
        assert shown(events) == [
            *("START", "INTERIM heard 1.0 seconds", "FINAL heard 2.0 seconds", "END"),
            *("START", "FINAL heard 2.5 seconds", "END"),
        ]
        assert usage(events) == pytest.approx(2.5)

    run(main())


def test_a_message_without_an_id_belongs_to_the_session_before() -> None:
    say = saying(message("a", session_id="one"), message("b", session_id=""), message("c", session_id="two"))
    events = run(talk(say))
    assert [event.request_id for event in events if event.type is FINAL] == ["one", "one", "two"]


def test_the_id_of_a_session_without_words_is_kept() -> None:
    async def drop(peer: Peer, said: str) -> None:
        peer.text(message("", session_id="one"))
        peer.close_frame(1011)

    heard = Heard()

    async def main() -> None:
        async with (
            served(drop, saying(message("x", session_id="")), heard=heard) as url,
            smallest.STT(api_key="k", base_url=url, resume=False) as pulse,
            pulse.stream(conn_options=TWICE) as stream,
        ):
            push(stream, 0.05)
            await until(lambda: heard.connections == 2)
            push(stream, 0.05)
            stream.end_input()
            events = await rest(stream)
        assert [event.request_id for event in events if event.type is FINAL] == ["one"]

    run(main())
