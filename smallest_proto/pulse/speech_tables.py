"""When speech starts and ends: the two tables that turn messages into START, INTERIM, FINAL and END.

The service has no such events of its own unless `vad_events` is on; clients infer them from text.
`SEED` is the inference of [seed], letter for letter, unmatched STARTs included. `DEFAULT` is that of
[lk 1.8.9] with three repairs: a late final opens no ghost turn (`FINAL_LATE`), the end of the stream always
ends the turn (`STREAM_ENDED`), and a server that sends no VAD events is not waited for (see `speech.py`).
"""

from __future__ import annotations

from smallest_proto.machine import Row, Symbol, Table


class Turn(Symbol):
    """Whether a turn is open."""

    SILENT = "silent"
    SPEAKING = "speaking"


class Heard(Symbol):
    """What one message, or the end of the stream, means for the turn. `speech.py` decides which."""

    VAD_STARTED = "speech_started"
    VAD_ENDED = "speech_ended"
    INTERIM = "interim with words"
    INTERIM_BLANK = "interim without words"
    FINAL_CLOSING = "final with words that closes the turn"
    FINAL_OPEN = "final with words, more of the turn to come"
    FINAL_LATE = "final with words of a turn that VAD has ended"
    FINAL_CLOSING_BLANK = "final without words that closes the turn"
    FINAL_OPEN_BLANK = "final without words, more of the turn to come"
    STREAM_ENDED = "end of the stream"


class Emit(Symbol):
    """What the user is told."""

    START = "SpeechStarted"
    INTERIM = "InterimTranscript"
    FINAL = "FinalTranscript"
    END = "SpeechEnded"


_T, _H, _E = Turn, Heard, Emit
_NOTHING_SILENT = Row[Turn, Emit]((), _T.SILENT)
_NOTHING_SPEAKING = Row[Turn, Emit]((), _T.SPEAKING)

SEED: Table[Turn, Heard, Emit] = {
    (_T.SILENT, _H.INTERIM): Row((_E.START, _E.INTERIM), _T.SPEAKING),
    (_T.SPEAKING, _H.INTERIM): Row((_E.INTERIM,), _T.SPEAKING),
    (_T.SILENT, _H.FINAL_CLOSING): Row((_E.START, _E.FINAL, _E.END), _T.SILENT),
    (_T.SPEAKING, _H.FINAL_CLOSING): Row((_E.FINAL, _E.END), _T.SILENT),
    (_T.SILENT, _H.INTERIM_BLANK): _NOTHING_SILENT,
    (_T.SPEAKING, _H.INTERIM_BLANK): _NOTHING_SPEAKING,
    (_T.SILENT, _H.FINAL_CLOSING_BLANK): _NOTHING_SILENT,
    # no END here: the seed leaves the turn open
    (_T.SPEAKING, _H.FINAL_CLOSING_BLANK): _NOTHING_SPEAKING,
    (_T.SILENT, _H.VAD_STARTED): _NOTHING_SILENT,
    (_T.SPEAKING, _H.VAD_STARTED): _NOTHING_SPEAKING,
    (_T.SILENT, _H.VAD_ENDED): _NOTHING_SILENT,
    (_T.SPEAKING, _H.VAD_ENDED): _NOTHING_SPEAKING,
    (_T.SILENT, _H.STREAM_ENDED): _NOTHING_SILENT,
    # nor here: a reconnect goes on in the same turn
    (_T.SPEAKING, _H.STREAM_ENDED): _NOTHING_SPEAKING,
}

DEFAULT: Table[Turn, Heard, Emit] = {
    (_T.SILENT, _H.VAD_STARTED): Row((_E.START,), _T.SPEAKING),
    (_T.SPEAKING, _H.VAD_STARTED): _NOTHING_SPEAKING,
    (_T.SILENT, _H.VAD_ENDED): _NOTHING_SILENT,
    (_T.SPEAKING, _H.VAD_ENDED): Row((_E.END,), _T.SILENT),
    (_T.SILENT, _H.INTERIM): Row((_E.START, _E.INTERIM), _T.SPEAKING),
    (_T.SPEAKING, _H.INTERIM): Row((_E.INTERIM,), _T.SPEAKING),
    (_T.SILENT, _H.INTERIM_BLANK): _NOTHING_SILENT,
    (_T.SPEAKING, _H.INTERIM_BLANK): _NOTHING_SPEAKING,
    (_T.SILENT, _H.FINAL_CLOSING): Row((_E.START, _E.FINAL, _E.END), _T.SILENT),
    (_T.SPEAKING, _H.FINAL_CLOSING): Row((_E.FINAL, _E.END), _T.SILENT),
    (_T.SILENT, _H.FINAL_OPEN): Row((_E.START, _E.FINAL), _T.SPEAKING),
    (_T.SPEAKING, _H.FINAL_OPEN): Row((_E.FINAL,), _T.SPEAKING),
    (_T.SILENT, _H.FINAL_LATE): Row((_E.FINAL,), _T.SILENT),
    (_T.SPEAKING, _H.FINAL_LATE): Row((_E.FINAL,), _T.SPEAKING),
    (_T.SILENT, _H.FINAL_CLOSING_BLANK): _NOTHING_SILENT,
    (_T.SPEAKING, _H.FINAL_CLOSING_BLANK): Row((_E.END,), _T.SILENT),
    (_T.SILENT, _H.FINAL_OPEN_BLANK): _NOTHING_SILENT,
    (_T.SPEAKING, _H.FINAL_OPEN_BLANK): _NOTHING_SPEAKING,
    (_T.SILENT, _H.STREAM_ENDED): _NOTHING_SILENT,
    (_T.SPEAKING, _H.STREAM_ENDED): Row((_E.END,), _T.SILENT),
}
