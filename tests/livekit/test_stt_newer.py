"""With the newer plugin's arguments: its URL, messages and mappings."""

import math
from typing import Any

import pytest
from livekit.agents import NOT_GIVEN

from livekit.plugins import smallest
from livekit.plugins.smallest.stt_options import SttOptions
from livekit_stt import (
    FINAL,
    ONCE,
    Heard,
    data_of,
    message,
    plain_answer,
    push,
    rest,
    saying,
    served,
    shown,
    talk,
    upto,
    word,
)
from sockets import Peer, run

DEFAULT = (
    "/stt/live?model=pulse&language=en&encoding=linear16&sample_rate=16000&word_timestamps=true&diarize=false"
    "&format=true&itn_normalize=false&sentence_timestamps=false&redact_pii=false&redact_pci=false"
    "&endpointing=true&vad_events=true&endpointing_timeout=300"
)


@pytest.mark.parametrize(
    ("options", "target"),
    [
        ({"endpoint": "live"}, DEFAULT),
        ({"stream_path": "/stt/live"}, DEFAULT),
        (
            {"endpoint": "live", "endpointing_timeout_ms": None},
            DEFAULT.removesuffix("&endpointing_timeout=300"),
        ),
        (
            {
                "endpoint": "live",
                "numerals": True,
                "eou_timeout_ms": 500,
                "finalize_on_words": False,
                "max_words": 20,
                "keywords": [("Smallest AI", 2.0), ("Pulse", 1.5)],
            },
            DEFAULT.removesuffix("&endpointing_timeout=300")
            + "&numerals=true&endpointing_timeout=300&eou_timeout_ms=500&finalize_on_words=false&max_words=20"
            "&keywords=Smallest+AI%3A2%2CPulse%3A1.5",
        ),
    ],
)
def test_the_url(options: dict[str, Any], target: str) -> None:
    heard = Heard()
    run(talk(heard=heard, **options))
    assert heard.target() == target


def test_a_direct_server() -> None:
    heard = Heard()
    run(talk(heard=heard, stream_path="/transcribe"))
    assert heard.target() == DEFAULT.replace("/stt/live", "/transcribe")


def test_flush_finalises() -> None:
    heard = Heard()

    async def main() -> None:
        async with (
            served(heard=heard) as url,
            smallest.STT(api_key="k", base_url=url, endpoint="live") as pulse,
            pulse.stream(conn_options=ONCE) as stream,
        ):
            push(stream, 0.12)
            stream.flush()
            push(stream, 0.05)
            stream.end_input()
            await rest(stream)

    run(main())
    assert heard.packets == [[1600, 1600, 640, 1600]]
    assert heard.texts == [["finalize", "finalize", "close_stream"]]


@pytest.mark.parametrize("options", [{"endpoint": "live", "finalize_on_flush": False}, {}])
def test_flush_does_not_finalise(options: dict[str, Any]) -> None:
    heard = Heard()
    run(talk(heard=heard, **options))
    assert heard.texts == [["close_stream"]]


def test_keepalive() -> None:
    heard = Heard()

    async def answer(peer: Peer, said: str) -> None:
        if "keepalive" in said:
            peer.text({"type": "pong"})
            peer.text(message("awake"))
        await plain_answer(peer, said)

    async def main() -> None:
        async with (
            served(answer, heard=heard) as url,
            smallest.STT(api_key="k", base_url=url, endpoint="live", keepalive_interval=0.05) as pulse,
            pulse.stream(conn_options=ONCE) as stream,
        ):
            await upto(stream, FINAL)

    run(main())
    assert heard.texts[0][0] == "keepalive"


def test_the_mapping() -> None:
    final = message(
        None,
        transcription=" What time? ",
        words=[
            word("What", 0.1, 0.2, confidence=0.9, speaker="speaker_0"),
            word("time?", confidence=0.4, speaker=1),
        ],
        utterances=[{"text": "What time?", "start": 0.1, "end": 0.5}],
        redacted_entities=["[FIRSTNAME_1]"],
    )
    data = data_of(run(talk(saying(final), endpoint="live", diarize=True, sentence_timestamps=True)))
    assert data.text == "What time?"
    assert data.confidence == pytest.approx(math.sqrt(0.36))
    assert data.speaker_id == "S0"
    assert data.metadata is not None
    assert data.metadata["redacted_entities"] == ["[FIRSTNAME_1]"]
    (utterance,) = data.metadata["utterances"]
    assert utterance == {
        "text": "What time?",
        "start": pytest.approx(0.1, abs=0.01),
        "end": pytest.approx(0.5, abs=0.01),
    }


def test_vad_says_when_speech_starts_and_ends() -> None:
    say = saying(
        {"type": "speech_started", "session_id": "a", "timestamp": 1.8},
        message("what", is_final=False),
        message(".", is_final=False),
        message("What time is it?"),
        {"type": "speech_ended", "session_id": "a", "timestamp": 2.86},
    )
    expected = ["START", "INTERIM what", "FINAL What time is it?", "END"]
    assert shown(run(talk(say, endpoint="live"))) == expected


def test_vad_events_on_the_seeds_endpoint() -> None:
    heard = Heard()
    say = saying({"type": "speech_started", "session_id": "a", "timestamp": 0.1})
    events = run(talk(say, heard=heard, vad_events=True))
    assert shown(events) == ["START", "END"]
    assert heard.target().endswith("diarize=false&vad_events=true")


def test_pings_come_as_often_as_each_plugins() -> None:
    assert SttOptions.create({}).pulse.heartbeat == 5.0
    assert SttOptions.create({"endpoint": "live"}).pulse.heartbeat == 30.0


def test_which_tables_hold_follows_vad_events() -> None:
    seed = SttOptions.create({})
    assert seed.pulse.compat == "seed"
    with_vad = seed.changed({"vad_events": True})
    assert with_vad.pulse.compat == "default"
    assert with_vad.changed({"vad_events": False}).pulse.compat == "seed"
    assert SttOptions.create({"endpoint": "live", "vad_events": False}).pulse.compat == "default"


@pytest.mark.parametrize(("given", "seconds"), [({}, 5.0), ({"keepalive_interval": None}, None)])
def test_keepalive_interval(given: dict[str, Any], seconds: float | None) -> None:
    assert SttOptions.create({"endpoint": "live", **given}).pulse.keepalive_seconds == seconds  # type: ignore[typeddict-item]  # a part of it


def test_every_argument_of_both_plugins_is_taken() -> None:
    heard = Heard()
    run(
        talk(
            heard=heard,
            model="pulse",
            language="en",
            sample_rate=16000,
            encoding="linear16",
            word_timestamps=True,
            diarize=False,
            format=True,
            itn_normalize=False,
            numerals=NOT_GIVEN,
            keywords=NOT_GIVEN,
            sentence_timestamps=False,
            redact_pii=False,
            redact_pci=False,
            endpointing=True,
            endpointing_timeout_ms=300,
            eou_timeout_ms=NOT_GIVEN,
            vad_events=True,
            finalize_on_flush=True,
            finalize_on_words=NOT_GIVEN,
            max_words=NOT_GIVEN,
            keepalive_interval=NOT_GIVEN,
            http_session=None,
            stream_path="/stt/live",
        )
    )
    assert heard.target() == DEFAULT
    assert heard.texts == [["finalize", "close_stream"]]


def test_every_option_that_can_change_does() -> None:
    changed = SttOptions.create({"endpoint": "live"}).changed(
        {
            "model": "pulse-2",
            "language": "hi",
            "sample_rate": 8000,
            "encoding": "mulaw",
            "eou_timeout_ms": 400,
            "format": False,
            "itn_normalize": True,
            "keywords": [("Pulse", 2.0)],
            "sentence_timestamps": True,
            "redact_pii": True,
            "redact_pci": True,
            "endpointing": False,
            "endpointing_timeout_ms": None,
            "vad_events": False,
            "finalize_on_flush": False,
        }
    )
    query = dict(changed.pulse.query())
    assert query == {
        "model": "pulse-2",
        "language": "hi",
        "encoding": "mulaw",
        "sample_rate": "8000",
        "word_timestamps": "true",
        "diarize": "false",
        "format": "false",
        "itn_normalize": "true",
        "sentence_timestamps": "true",
        "redact_pii": "true",
        "redact_pci": "true",
        "endpointing": "false",
        "vad_events": "false",
        "eou_timeout_ms": "400",
        "keywords": "Pulse:2",
    }
    assert not changed.finalize_on_flush
