"""The metrics of a stream's usage, which a `SpeechStream` emits itself: see there."""

from __future__ import annotations

import time
from typing import Never

from livekit.agents import stt
from livekit.agents.metrics import STTMetrics
from livekit.agents.metrics.base import Metadata


def usage_metrics(recogniser: stt.STT[Never], request_id: str, usage: stt.RecognitionUsage) -> STTMetrics:
    """What the framework makes of a report of usage."""
    return STTMetrics(
        request_id=request_id,
        timestamp=time.time(),
        duration=0.0,
        label=recogniser.label,
        audio_duration=usage.audio_duration,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        streamed=True,
        metadata=Metadata(model_name=recogniser.model, model_provider=recogniser.provider),
    )
