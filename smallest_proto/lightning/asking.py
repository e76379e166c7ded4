"""Checking what a caller asks a client end to send; all that can be wrong is found before any change."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

from smallest_proto.errors import LocalProtocolError
from smallest_proto.lightning.commands import (
    CancelContext,
    FinishContext,
    FlushText,
    KeepAlive,
    OpenContext,
    SendText,
    Speak,
)
from smallest_proto.lightning.contexts import CONTEXT_ID, Context, LatestIds
from smallest_proto.lightning.messages import ClientMessages
from smallest_proto.lightning.options import LightningOptions
from smallest_proto.lightning.states import ClientInput

_INPUTS: Mapping[type, ClientInput] = {
    OpenContext: ClientInput.OPEN_CONTEXT,
    SendText: ClientInput.TEXT,
    FinishContext: ClientInput.FINISH,
    FlushText: ClientInput.FLUSH,
    CancelContext: ClientInput.CANCEL,
    Speak: ClientInput.SPEECH,
    KeepAlive: ClientInput.KEEP_ALIVE,
}
_FRAGMENTS = (OpenContext, SendText, FinishContext, CancelContext, KeepAlive)
_ACCEPTED: Mapping[str, Collection[type]] = {
    "context": _FRAGMENTS,
    "continue": (*_FRAGMENTS, FlushText),
    "segment": (Speak, CancelContext, KeepAlive),
}
"""What the caller may send in each `LightningOptions.text_mode`."""

_BLANK = {ClientInput.TEXT: ClientInput.BLANK, ClientInput.SPEECH: ClientInput.BLANK_SPEECH}
_WITH_TEXT = (SendText, Speak)
_OPENING = (ClientInput.OPEN_CONTEXT, *_BLANK, *_BLANK.values())


class Asked(NamedTuple):
    """A command, checked: the input it is, the context it means, its text, and the message to send for it."""

    given: ClientInput
    context: Context | None
    text: str = ""
    message: str | None = None


def check(
    command: object,
    options: LightningOptions,
    messages: ClientMessages,
    active: Context | None,
    used: LatestIds,
) -> Asked:
    """The command as something that the table can judge. Raises LocalProtocolError for a malformed one.

    `active` is the open context and `used` the ids that were taken before.
    """
    given, text = well_formed(command, options)
    if given is ClientInput.KEEP_ALIVE:
        return Asked(given, active)
    context = _context(getattr(command, "context_id", None), given, options, active, used)
    return Asked(given, context, text, _message(given, messages, context, text))


def well_formed(command: object, options: LightningOptions) -> tuple[ClientInput, str]:
    """The input that a command is, and its text. Raises LocalProtocolError for what no connection would take."""
    accepted = _ACCEPTED[options.text_mode]
    if type(command) not in accepted:
        raise LocalProtocolError(
            f"a client with text_mode={options.text_mode!r} cannot send {type(command).__name__}; expected "
            + ", ".join(kind.__name__ for kind in accepted)
        )
    given, text = _INPUTS[type(command)], ""
    if isinstance(command, _WITH_TEXT):
        text = _checked_text(command.text)
        given = given if text.strip() else _BLANK[given]
    context_id = getattr(command, "context_id", None)
    if context_id is not None and not (isinstance(context_id, str) and CONTEXT_ID.fullmatch(context_id)):
        raise LocalProtocolError(f"context_id={context_id!r}: expected 8 to 64 ASCII letters and digits")
    return given, text


def _checked_text(text: object) -> str:
    if not isinstance(text, str) or not text:
        raise LocalProtocolError(f"text={text!r}: expected a string with something in it")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise LocalProtocolError("text holds half of a surrogate pair: expected valid Unicode") from None
    return text


def same_synthesis(context_id: object, active: str) -> None:
    """Raise LocalProtocolError for a command that means another synthesis than the active one."""
    if context_id not in (None, active):
        raise LocalProtocolError(
            f"context_id={context_id!r}: {active!r} is active, and a connection carries one synthesis at a "
            "time; expected that id, or None"
        )


def _context(
    context_id: object,
    given: ClientInput,
    options: LightningOptions,
    active: Context | None,
    used: LatestIds,
) -> Context:
    """The context that a command means: the active one, or one to be opened."""
    if active is not None:
        same_synthesis(context_id, active.context_id)
        return active
    if context_id in used:
        raise LocalProtocolError(
            f"context_id={context_id!r} has ended; expected an id that was not used before"
        )
    if given not in _OPENING:
        raise LocalProtocolError(f"{given.value} is not allowed: no context is open; send text first")
    return Context(context_id if isinstance(context_id, str) else _next_id(used), options)


def _next_id(used: LatestIds) -> str:
    """An id for a caller who gave none; the same calls give the same ids."""
    number = used.count + 1
    while (context_id := f"context{number:05d}") in used:
        number += 1
    return context_id


def _message(given: ClientInput, messages: ClientMessages, context: Context, text: str) -> str | None:
    match given:
        case ClientInput.TEXT:
            return messages.fragment(context.context_id, context.blanks + text)
        case ClientInput.SPEECH:
            return messages.speech(text)
        case ClientInput.FINISH:
            return messages.end(context.context_id)
        case ClientInput.FLUSH:
            return messages.flush()
        case ClientInput.CANCEL:
            return messages.cancel(context.context_id)
    return None
