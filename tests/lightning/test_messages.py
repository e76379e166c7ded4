"""The texts on the wire, letter by letter, as the documented clients write them."""

from __future__ import annotations

import pytest

from smallest_proto.lightning import LightningOptions
from smallest_proto.lightning.messages import ClientMessages


def test_single_shot() -> None:
    options = LightningOptions(text_mode="segment", session_id="call-77", request_id="turn-1")
    assert ClientMessages(options).speech("Good morning.") == (
        '{"model":"lightning_v3.1_pro","voice_id":"meher","text":"Good morning.","sample_rate":24000,"speed":1.0,'
        '"language":"en","session_id":"call-77","request_id":"turn-1"}'
    )


def test_legacy() -> None:
    messages = ClientMessages(LightningOptions(text_mode="continue", model="lightning_v3.1"))
    head = (
        '{"model":"lightning_v3.1","voice_id":"sophia","sample_rate":24000,"speed":1.0,"language":"en",'
        '"max_buffer_flush_ms":0,'
    )
    assert messages.fragment("x", "Let me ") == head + '"text":"Let me ","continue":true,"flush":false}'
    assert messages.end("x") == head + '"text":"","continue":false,"flush":true}'
    assert messages.flush() == head + '"text":"","continue":true,"flush":true}'
    assert messages.cancel("x") is None


def test_continuations() -> None:
    messages = ClientMessages(LightningOptions(speed=1, word_timestamps=True))
    head = (
        '{"model":"lightning_v3.1_pro","voice_id":"meher","sample_rate":24000,"speed":1.0,"language":"en",'
        '"word_timestamps":true,"context_id":"a1B2c3D4e5F6","max_buffer_delay_ms":3000,'
    )
    assert messages.fragment("a1B2c3D4e5F6", 'é"\n') == head + '"text":"é\\"\\n","continue":true}'
    assert messages.end("a1B2c3D4e5F6") == head + '"text":"","continue":false}'
    assert messages.cancel("a1B2c3D4e5F6") == head + '"cancel_request":true}'


def test_keep_alive() -> None:
    wire = '{"text":" ","voice_id":"meher","model":"lightning_v3.1_pro","language":"en"}'
    assert ClientMessages(LightningOptions()).keep_alive() == wire


def test_a_lone_surrogate_is_no_text() -> None:
    with pytest.raises(UnicodeEncodeError):
        ClientMessages(LightningOptions()).speech("\ud800")
