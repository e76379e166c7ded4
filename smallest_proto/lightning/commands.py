"""What a caller can tell a Lightning connection to send."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec


class OpenContext(msgspec.Struct, frozen=True):
    """Begin a synthesis under an id of your own, before its first text. Sends nothing.

    `context_id` is 8 to 64 ASCII letters and digits, never used before on this connection. One synthesis at a
    time: a second one needs the first to have ended, or a connection of its own.
    """

    context_id: str


class SendText(msgspec.Struct, frozen=True):
    """Send a piece of text; opens a context, named by the connection, when there is none.

    Blanks at the edges matter: pieces are joined as they are. A piece of mere blanks waits for the next.
    """

    text: str
    context_id: str | None = None


class FinishContext(msgspec.Struct, frozen=True):
    """No more text will come. Read on until `ContextComplete` or `ContextFailed`."""

    context_id: str | None = None


class FlushText(msgspec.Struct, frozen=True):
    """`text_mode="continue"` only: have what was sent so far spoken now. More text may follow."""

    context_id: str | None = None


class CancelContext(msgspec.Struct, frozen=True):
    """Stop the synthesis, as when the user speaks over it. Unless nothing was sent, the connection is spent.

    Frames do not say which context they belong to, so late ones could not be told from those of a new one.
    """

    context_id: str | None = None


class Speak(msgspec.Struct, frozen=True):
    """`text_mode="segment"` only: synthesise this whole text. Read on until `ContextComplete`."""

    text: str
    context_id: str | None = None


class KeepAlive(msgspec.Struct, frozen=True):
    """Reset the server's idle timer, with a text of one blank [pipecat 1.14]."""


class SendAudio(msgspec.Struct, frozen=True):
    """Server role: whole 16-bit little-endian samples. `request_id` None takes the connection's own."""

    pcm: bytes
    request_id: str | None = None


class SendWord(msgspec.Struct, frozen=True):
    """Server role: when a word is spoken, in seconds, and its place in the text, from 0."""

    word: str
    start: float
    end: float
    index: int = 0
    request_id: str | None = None


class SendComplete(msgspec.Struct, frozen=True):
    """Server role: one release of audio is done. `last` False keeps the synthesis open after the text's end.

    While the client may still send text the synthesis stays open in any case.
    """

    request_id: str | None = None
    last: bool = True


class SendError(msgspec.Struct, frozen=True):
    """Server role: the synthesis failed, and is over.

    `shape` is where the message stands: `flat` in "message", `nested` in an object under "error", `string` as
    "error" itself. Servers were seen with all three, and clients have to read them.
    """

    message: str
    code: str | None = None
    shape: Literal["flat", "nested", "string"] = "flat"
    request_id: str | None = None


ClientCommand: TypeAlias = (
    OpenContext | SendText | FinishContext | FlushText | CancelContext | Speak | KeepAlive
)
ServerCommand: TypeAlias = SendAudio | SendWord | SendComplete | SendError
