"""Sound files in and out, and one clear line for each file that cannot be read."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from smallest_transports import audio_files
from smallest_transports.audio_files import AudioFileError, Clip, read_audio, resample, write_wav

RATES = [8000, 16000, 22050, 24000, 44100, 48000]


def tone(rate: int, seconds: float = 0.25) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return 0.5 * np.sin(2 * np.pi * 440 * np.arange(round(rate * seconds)) / rate)


def samples(clip: Clip) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.frombuffer(clip.pcm, "<i2").astype(np.float64) / 32768


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("width", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
def test_every_width_rate_and_channel_count(tmp_path: Path, width: str, channels: int, rate: int) -> None:
    path = tmp_path / "tone.wav"
    expected = tone(rate)
    data = expected if channels == 1 else np.stack([2 * expected, 0 * expected], axis=1) * 0.99
    soundfile.write(path, data, rate, subtype=width)
    clip = read_audio(path)
    assert clip.rate == rate
    assert clip.seconds == pytest.approx(0.25, abs=1 / rate)
    tolerance = 2 / 128 if width == "PCM_U8" else 2 / 32768
    assert np.abs(samples(clip) - expected * (1 if channels == 1 else 0.99)).max() < tolerance


@given(
    pcm=st.binary(min_size=2, max_size=400).map(lambda b: b[: len(b) // 2 * 2]), rate=st.sampled_from(RATES)
)
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, pcm: bytes, rate: int) -> None:
    path = tmp_path_factory.getbasetemp() / "round.wav"
    write_wav(path, pcm, rate)
    assert read_audio(path) == Clip(pcm, rate)
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, rate)


@pytest.mark.parametrize("source", RATES)
@pytest.mark.parametrize("target", [8000, 16000, 44100])
def test_resampling_keeps_the_sound(source: int, target: int) -> None:
    pcm = (tone(source, 0.5) * 32767).astype("<i2").tobytes()
    clip = resample(Clip(pcm, source), target)
    assert clip.rate == target
    assert clip.seconds == pytest.approx(0.5, abs=0.001)
    inner = slice(target // 20, target // 5)
    assert np.abs(samples(clip)[inner] - tone(target, 0.5)[inner]).max() < 0.01


def test_samples_beyond_full_scale_are_clipped_and_nonsense_is_silence(tmp_path: Path) -> None:
    path = tmp_path / "loud.wav"
    soundfile.write(path, np.array([3.0, -3.0, np.nan]), 16000, subtype="FLOAT")
    assert np.frombuffer(read_audio(path).pcm, "<i2").tolist() == [32767, -32768, 0]


"""Python's words."""


def bad_files(folder: Path) -> dict[str, tuple[Path, str]]:
    (folder / "text.wav").write_text("this is no sound at all, only words " * 10)
    (folder / "empty.wav").write_bytes(b"")
    (folder / "cut.wav").write_bytes(b"RIFF\x10\x00\x00\x00WAVEfmt ")
    write_wav(folder / "mute.wav", b"", 16000)
    return {
        "absent": (folder / "absent.wav", "no such file"),
        "below a file": (folder / "text.wav" / "a.wav", "cannot be opened: not a directory"),
        "directory": (folder, "is a directory, not a sound file"),
        "text": (folder / "text.wav", "is not a sound file that can be read (WAV, FLAC, Ogg, MP3)"),
        "cut short": (folder / "cut.wav", "is not a sound file that can be read (WAV, FLAC, Ogg, MP3)"),
        "empty": (folder / "empty.wav", "is empty"),
        "no samples": (folder / "mute.wav", "has no samples"),
        "null byte": (folder / "a\0b", "cannot be opened: embedded null byte"),
    }


@pytest.mark.parametrize(
    "name", ["absent", "below a file", "directory", "text", "cut short", "empty", "no samples", "null byte"]
)
def test_one_clear_line_for_each_bad_file(tmp_path: Path, name: str) -> None:
    path, expected = bad_files(tmp_path)[name]
    with pytest.raises(AudioFileError) as caught:
        read_audio(path)
    assert str(caught.value) == f"{path}: {expected}"


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "out.wav"
    with pytest.raises(AudioFileError) as caught:
        write_wav(path, b"", 16000)
    assert str(caught.value) == f"{path}: cannot be written: no such file or directory"


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> object:
        raise ImportError(name)

    path = tmp_path / "a.wav"
    write_wav(path, bytes(2), 16000)
    monkeypatch.setattr(audio_files, "import_module", absent)
    with pytest.raises(
        AudioFileError, match=r"needs the package soundfile: pip install 'smallest-proto\[cli\]'"
    ):
        read_audio(path)
    with pytest.raises(AudioFileError, match=r"smallest-proto\[cli\]"):
        resample(Clip(bytes(2), 8000), 16000)
