"""Files of any bytes, taken for WAV."""

from __future__ import annotations

from fuzz import scenario
from smallest_proto.lightning.http_sniff import sniff
from smallest_proto.wav import WavReader

TABLE: scenario.Table = {"cut": (7, 1, 2, 3, 64, 1000)}


def fuzz(data: bytes) -> None:
    """The same samples however the file is cut, or ValueError; and what kind of file it is never changes."""
    settings, file = scenario.split(data, TABLE)
    runs = [read(scenario.pieces(file, size)) for size in (0, settings["cut"])]
    assert runs[0] == runs[1]
    verdict = sniff(file, complete=True)
    assert verdict is not None
    for end in range(min(len(file), 64)):
        early = sniff(file[:end])
        assert early is None or early == verdict, f"{early} after {end} bytes, then {verdict}"


def read(pieces: list[bytes]) -> tuple[bytes, object, str]:
    """The samples, the format, and what was wrong."""
    reader, samples = WavReader(), b""
    try:
        for piece in pieces:
            samples += reader.feed(piece)
    except ValueError as error:
        return samples, None, str(error)
    return samples, reader.format, ""
