"""What can be wrong with a server, as switches: for testing what a client makes of it.

`Faults` is all of them, `FAULTS` the same as a table; `read_faults` takes them from a command line.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal, NamedTuple, TypeAlias, get_args, get_type_hints

import msgspec
from msgspec import Meta

ErrorShape: TypeAlias = Literal[
    "E1",
    "E2",
    "E3",
    "E4",
    "E5",
    "E6",
    "E7",
    "E8",
    "E9",
    "E10",
    "E11",
    "E12",
    "E13",
    "E14",
    "E15",
    "E16",
    "E17",
    "E18",
    "E19",
    "E20",
]
"""The shapes of errors that servers were seen with, or that their documents show; `fault_bodies` has each."""

BatchRow: TypeAlias = Literal[
    "model",
    "too_large",
    "bad_input",
    "region",
    "no_credentials",
    "bad_key",
    "plan",
    "rate",
    "no_object",
    "unavailable",
]
"""The reasons for which the service refuses a recording, as in `BatchRefusal`."""

_Seconds: TypeAlias = Annotated[float, Meta(ge=0, le=86400)]
_Count: TypeAlias = Annotated[int, Meta(ge=0, le=1_000_000)]


def _says(text: str) -> Meta:
    return Meta(description=text)


class Faults(msgspec.Struct, frozen=True, kw_only=True):
    """What one connection of the local server does wrong; nothing by default.

    Every field describes itself in `FAULTS`. Those from `error` to `stop_pongs` happen once the client has sent
    `after_seconds` of audio and the server `after_messages` messages; on Lightning both counts begin anew with
    each synthesis, and its audio is the server's. With 0 that is before the first message. Over HTTP the messages
    are the pieces of a spoken answer, or its events.
    Raises ValueError, naming the field, for a value that it cannot have.
    """

    # instead of an answer
    reject: Annotated[
        Annotated[int, Meta(ge=400, le=599)] | None,
        _says("refuse every upgrade and request with this status; with `error`, in that shape"),
    ] = None
    retry_after: Annotated[
        Annotated[int, Meta(ge=0)] | None,
        _says("whole seconds, as Retry-After of `reject`, `too_many`, `busy` and `batch`"),
    ] = None
    redirect: Annotated[
        Annotated[str, Meta(pattern=r"^[\x21-\x7e]+$")] | None,
        _says("answer every upgrade and request with 307 and this Location"),
    ] = None
    slow_accept: Annotated[_Seconds, _says("seconds before every answer to an upgrade or a request")] = 0.0
    no_answer: Annotated[
        Literal["hang_up", "reset", "silence"] | None,
        _says("instead of any answer to an upgrade or a request"),
    ] = None
    too_many: Annotated[
        Literal["503", "429", "1008"],
        _says("what connections beyond --max-connections get; 1008 closes Pulse streams, 503 the rest"),
    ] = "503"

    # in the middle of things
    after_seconds: Annotated[_Seconds, _says("seconds of audio before the next six happen")] = 0.0
    after_messages: Annotated[_Count, _says("messages of the server before the next six happen")] = 0
    error: Annotated[
        ErrorShape | None,
        _says(
            "an error message of this shape, which ends a Pulse stream or a synthesis; see `reject` for HTTP"
        ),
    ] = None
    close: Annotated[
        Annotated[int, Meta(ge=1000, le=4999)] | None,
        _says("a close frame with this code; speech over HTTP is cut short"),
    ] = None
    hang_up: Annotated[bool, _says("the socket is closed without a close frame")] = False
    reset: Annotated[bool, _says("the socket is reset, as by a crash or a firewall")] = False
    stop_reading: Annotated[bool, _says("the socket is read no more, and stays open")] = False
    stop_pongs: Annotated[bool, _says("pings are answered no more")] = False

    # messages over WebSocket that a client should pass over
    binary_frame: Annotated[bool, _says("a binary message before the first one")] = False
    invalid_json: Annotated[bool, _says("a text that is not JSON before the first message")] = False
    json_array: Annotated[bool, _says("a JSON array before the first message")] = False
    unknown_type: Annotated[bool, _says("a message of an unknown kind before the first one")] = False
    idle_timeout: Annotated[
        Annotated[float, Meta(gt=0, le=86400)] | None,
        _says("seconds without a client's message, then a WebSocket is closed, on Lightning after an error"),
    ] = None

    # Pulse
    from_finalize: Annotated[
        Literal["absent", "false"] | None,
        _says("the flag of finals that answer a finalize; true unless given"),
    ] = None
    close_stream: Annotated[
        Literal["empty_last", "no_last", "never"] | None,
        _says(
            "the answer to close_stream: a last message without text, a close without one, or nothing at all"
        ),
    ] = None
    refuse_keepalive: Annotated[
        bool, _says("keepalive is an error and the end, as it always is on /transcribe")
    ] = False
    vad: Annotated[
        Literal["before", "after"] | None,
        _says(
            "speech_started and speech_ended, unasked; speech_ended before or after the final it belongs to"
        ),
    ] = None
    null_transcript: Annotated[bool, _says("transcripts are null")] = False
    null_words: Annotated[bool, _says("words are null")] = False
    string_speakers: Annotated[bool, _says('words have speakers such as "speaker_0"')] = False
    eou_zero_closes: Annotated[bool, _says("eou_timeout_ms=0 in the query closes the stream")] = False

    # recordings over HTTP
    batch: Annotated[
        BatchRow | None, _says("refuse recordings for this reason, in the words of each path")
    ] = None
    batch_processing: Annotated[bool, _says("take recordings for a webhook, which is never called")] = False
    batch_url: Annotated[bool, _says("take the url of a recording, and answer as if it were silence")] = False

    # Lightning over WebSocket; `odd_chunks` over HTTP too
    completes: Annotated[
        Annotated[int, Meta(ge=0, le=100)], _says("how many `complete` messages stand for one")
    ] = 1
    word_clock: Annotated[
        Literal["request", "stream"],
        _says("whether words count from their request's audio, or their context's"),
    ] = "request"
    missing_data: Annotated[bool, _says("a chunk without data before the first chunk")] = False
    close_after_complete: Annotated[bool, _says("the connection is closed after each synthesis")] = False
    slow_first_chunk: Annotated[
        _Seconds, _says("seconds from the first text of a synthesis to its audio")
    ] = 0.0
    chunks_after_cancel: Annotated[_Count, _says("how many chunks come after a cancel request")] = 0
    busy: Annotated[bool, _says("every synthesis is refused as one too many; over HTTP with 429")] = False
    odd_chunks: Annotated[bool, _says("chunks have odd numbers of bytes, half samples in them")] = False
    damaged_base64: Annotated[bool, _says("the audio of chunks and events is not base64")] = False

    # Lightning over HTTP
    sse_framing: Annotated[
        Literal["current", "older", "nested"], _says("how server-sent events are written")
    ] = "current"
    sse_line_end: Annotated[Literal["lf", "crlf", "cr"], _says("how their lines end")] = "lf"
    sse_comments: Annotated[bool, _says("comments, ids and retry fields among them")] = False
    sse_truncated: Annotated[bool, _says("they end without saying that they are done")] = False
    split_bytes: Annotated[bool, _says("the body of speech is sent byte by byte")] = False

    def __post_init__(self) -> None:
        for name, fault in FAULTS.items():
            value = getattr(self, name)
            try:
                msgspec.convert(value, fault.kind)
            except msgspec.ValidationError as error:
                raise _refusal(name, value, error) from None


class Fault(NamedTuple):
    """One switch: the type of its values, what stands for it in a help text, and what it does."""

    kind: object
    values: str
    does: str


def read_faults(arguments: Iterable[str]) -> Faults:
    """The faults in `NAME` or `NAME=VALUE` each. Raises ValueError, with the names there are for an unknown one."""
    given: dict[str, object] = {}
    for argument in arguments:
        name, equals, value = argument.partition("=")
        name = name.strip().replace("-", "_")
        if name not in FAULTS:
            raise ValueError(f"fault {name!r}: expected one of {', '.join(FAULTS)}")
        kind = FAULTS[name].kind
        try:
            given[name] = msgspec.convert(value if equals else True, kind, strict=False)
        except msgspec.ValidationError as error:
            raise _refusal(name, value if equals else None, error) from None
    return Faults(**given)  # type: ignore[arg-type]  # each was converted to its field's type


def fault_list() -> str:
    """Every switch with what it does, for a terminal."""
    heads = {name: name + fault.values for name, fault in FAULTS.items()}
    width = min(38, max(map(len, heads.values())))
    return "\n".join(
        f"{heads[name]:{width}}  {fault.does}"
        if len(heads[name]) <= width
        else f"{heads[name]}\n{'':{width}}  {fault.does}"
        for name, fault in FAULTS.items()
    )


def _refusal(name: str, value: object, error: msgspec.ValidationError) -> ValueError:
    shown = name if value is None else f"{name}={value!r}"
    form = FAULTS[name].values.removeprefix("=") or "no value"
    return ValueError(f"fault {shown}: expected {form} ({error})")


def _describe(kind: object) -> Fault:
    inner, *notes = get_args(kind)
    does = next(note.description for note in notes if getattr(note, "description", None))
    if inner is bool:
        return Fault(kind, "", does)
    parts = [part for part in get_args(inner) or (inner,) if part is not type(None)]
    choices = [c for part in [inner, *parts] for c in get_args(part) if isinstance(c, str)]
    choices = choices or [part for part in parts if isinstance(part, str)]
    if choices:
        return Fault(kind, "=" + "|".join(dict.fromkeys(choices)), does)
    text = repr(inner)
    return Fault(kind, "=SECONDS" if "float" in text else "=N" if "int" in text else "=TEXT", does)


FAULTS: dict[str, Fault] = {
    name: _describe(kind) for name, kind in get_type_hints(Faults, include_extras=True).items()
}
"""Every switch of `Faults` by its name."""

NO_FAULTS = Faults()
