"""A recording to transcribe, and the HTTP request that asks for it."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from typing import TypeAlias

import msgspec

from smallest_proto import checks
from smallest_proto.endpoints import BASE_URL, ApiKey
from smallest_proto.http_request import HttpRequest, http_request
from smallest_proto.pulse.batch_options import BatchOptions, check_url
from smallest_proto.regions import check_region
from smallest_proto.vendor import UnknownValueWarning
from smallest_proto.wav import MAX_PCM_BYTES, wav_file

PATHS = {"stt": "/stt/", "get_text": "/{model}/get_text"}
"""[openapi stt], with its slash at the end; [seed]."""

RAW = "application/octet-stream"
_CONTAINERS = re.compile(
    rb"RIFF|ID3|\xff[\xe2-\xff]|fLaC|OggS|.{4}ftyp|\x1a\x45\xdf\xa3", re.DOTALL
)  # wav, mp3 (twice), flac, ogg, m4a, webm


class BatchAudio(msgspec.Struct, frozen=True):
    """A whole file: wav, mp3, flac, ogg, m4a or webm, mono, at most 250 MB and better under 10 minutes.

    `content_type` is `application/octet-stream` or an `audio/*` type; the service reads the file's own header.
    Raises ValueError for no data or another type. Warns when the data look like none of these files: the
    service answers bare PCM with an empty transcript [livetest encoding], so give that to `BatchPcm`.
    """

    data: bytes
    content_type: str = RAW

    def __post_init__(self) -> None:
        if not isinstance(self.data, bytes) or not self.data:
            shown = "nothing" if isinstance(self.data, bytes) else type(self.data).__name__
            raise ValueError(f"data: {shown}: expected the bytes of a file, as Path(name).read_bytes() gives")
        if not isinstance(self.content_type, str) or not re.fullmatch(
            rf"{RAW}|audio/[!-~]+(; ?[!-~]+)*", self.content_type
        ):
            raise checks.refuse("content_type", self.content_type, f"{RAW!r} or 'audio/...'")
        if not _CONTAINERS.match(self.data):
            warnings.warn(
                "data begins like no known audio file, and the service transcribes bare PCM to nothing: "
                "expected wav, mp3, flac, ogg, m4a or webm, or BatchPcm",
                UnknownValueWarning,
                stacklevel=2,
            )

    def __repr__(self) -> str:
        return f"BatchAudio({len(self.data)} bytes, {self.content_type!r})"


class BatchPcm(msgspec.Struct, frozen=True):
    """Bare samples, 16-bit little-endian mono at `sample_rate` Hz. They are sent as a WAV file.

    Raises ValueError for no or half samples, and for a rate that is not a positive whole number.
    """

    pcm: bytes
    sample_rate: int

    def __post_init__(self) -> None:
        if not isinstance(self.pcm, bytes) or not self.pcm or len(self.pcm) % 2:
            size = f" of {len(self.pcm)}" if isinstance(self.pcm, bytes) else ""
            raise ValueError(
                f"pcm: {type(self.pcm).__name__}{size}: expected bytes, two for each sample, at least one sample"
            )
        checks.integer("pcm: its length", len(self.pcm), 2, MAX_PCM_BYTES)
        checks.integer("sample_rate", self.sample_rate, 1, 2**31 - 1)

    def __repr__(self) -> str:
        return f"BatchPcm({len(self.pcm)} bytes, sample_rate={self.sample_rate})"


class BatchUrl(msgspec.Struct, frozen=True):
    """A recording that the service fetches: a public http or https URL; pulse only. Raises ValueError."""

    url: str

    def __post_init__(self) -> None:
        check_url("url", self.url)


BatchSource: TypeAlias = BatchAudio | BatchPcm | BatchUrl


def batch_request(
    source: BatchSource,
    options: BatchOptions = BatchOptions(),
    *,
    api_key: ApiKey | None,
    base_url: str = BASE_URL,
    headers: Mapping[str, str] | None = None,
) -> HttpRequest:
    """The POST that has this recording transcribed. Read its response with a `BatchExchange` or `parse_batch`.

    Gives a `RegionWarning` when the host is known not to serve the language. Raises ValueError for a base URL
    or header that cannot be sent, and for a URL given to pulse-pro, which answers it with 400 [openapi stt].
    """
    if isinstance(source, BatchUrl):
        if options.model == "pulse-pro":
            raise ValueError(
                "source: pulse-pro takes no URL; expected BatchAudio or BatchPcm, or model='pulse'"
            )
        body, content_type = msgspec.json.encode({"url": source.url}), "application/json"
    elif isinstance(source, BatchPcm):
        body, content_type = wav_file(source.pcm, source.sample_rate), RAW  # the type that [seed] sends
    elif isinstance(source, BatchAudio):
        body, content_type = source.data, source.content_type
    else:
        raise ValueError(f"source: {type(source).__name__}: expected BatchAudio, BatchPcm or BatchUrl")
    check_region(options.language, base_url, batch=True, stacklevel=2)
    ours = {"x-expire-content": "true"} if options.expire_content else {}
    return http_request(
        base_url,
        PATHS[options.endpoint].format(model=options.model),
        options.query(),
        api_key=api_key,
        headers={**ours, **(headers or {})},
        body=body,
        content_type=content_type,
    )
