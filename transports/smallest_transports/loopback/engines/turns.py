"""Where turns of speech begin and end: voice activity per frame, smoothed over a short window."""

from __future__ import annotations

from collections import deque
from enum import Enum

import numpy as np
import pocketsphinx

from smallest_transports.loopback.engines.pcm import Samples

RATE = 16000
FRAME = 480
"""Samples in a frame: 30 ms."""

WINDOW = 8
ENOUGH = 5
"""A turn begins when this many of the last `WINDOW` frames are voiced."""

SILENCE_MS = 600
"""Silence that ends a turn when the client names none; what the service's endpointing takes [lk 1.8.9]."""

_ABOVE_FLOOR = 4.0
_FLOOR_RISE = 1.01
_FLOOR_LEAST = 1e-9
"""Voiced frames carry at least four times (6 dB) the power of the noise floor, which rises by 1 % per frame until
a quieter frame brings it down: steady noise stops counting as voice after a few seconds."""


LOUDER = 4
"""Factor before the detector, whose fixed thresholds would miss quiet speech."""


class Change(Enum):
    """What a frame did to the turn."""

    STARTED = 1
    ENDED = 2


class TurnDetector:
    """Feed it frames in order; it says when a turn starts and ends. Positions are counted in frames."""

    def __init__(self, silence_ms: int) -> None:
        self._vad = pocketsphinx.Vad(pocketsphinx.Vad.MEDIUM_STRICT, RATE, FRAME / RATE)
        self._silence = max(1, round(silence_ms / 1000 * RATE / FRAME))
        self._recent: deque[bool] = deque(maxlen=WINDOW)
        self._floor = 1.0
        self._frames = 0
        self.active = False
        self.start = 0
        self.end = 0
        """First voiced frame of the turn, and the frame after its last voiced one."""

    def push(self, frame: Samples) -> Change | None:
        """Take one frame; return what it changed."""
        voiced = self._voiced(frame)
        self._recent.append(voiced)
        self._frames += 1
        if voiced:
            self.end = self._frames
        if not self.active and sum(self._recent) >= ENOUGH:
            self.active = True
            self.start = self._frames - len(self._recent) + self._recent.index(True)
            return Change.STARTED
        if self.active and self._frames - self.end >= self._silence:
            self.active = False
            self._recent.clear()
            return Change.ENDED
        return None

    @property
    def pause(self) -> int:
        """Frames since the last voiced one."""
        return self._frames - self.end

    def _voiced(self, frame: Samples) -> bool:
        power = float(np.dot(frame, frame)) / FRAME
        self._floor = max(_FLOOR_LEAST, min(self._floor * _FLOOR_RISE, power))
        if power < self._floor * _ABOVE_FLOOR:
            return False
        scaled = np.clip(frame * np.float32(LOUDER * 32767), -32768, 32767)
        return bool(self._vad.is_speech(scaled.astype("<i2").tobytes()))
