"""Seed inputs from the session vectors in `tests/vectors`, and from a few answers that no session shows.

`seeds(TARGET)` gives a target's; `fuzz.keep` mixes them with what was found and keeps the smallest set.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from wsproto.frame_protocol import FrameProtocol

from fuzz import http_seeds, more_seeds, scenario, wires
from fuzz.targets import lightning_messages, lightning_server, pulse_messages, pulse_server

VECTORS = Path(__file__).parent.parent / "tests" / "vectors"
Lines: TypeAlias = Iterator[tuple[str, bytes | str]]

_LETTERS = {
    "pulse": {"finalize": "f", "flush": "F", "keepalive": "k", "close_stream": "s"},
    "lightning": {"finish": "f", "flush": "F", "cancel": "x", "keep_alive": "k", "open": "o", "text": "t"}
    | {"speak": "s"},
}
_ANSWERS = {"transcript": "t", "vad": "v", "error": "e", "pong": "p"}


def vectors(protocol: str) -> Iterator[dict[str, Any]]:
    """The vectors of one protocol."""
    for path in sorted((VECTORS / protocol).glob("*.json")):
        yield json.loads(path.read_text("utf-8"))


def command(protocol: str, do: Mapping[str, Any]) -> str:
    """A command of the vectors as the targets' `!` line."""
    name = do["send"]
    if name == "audio":
        return f"a{do['bytes']}"
    if name in _ANSWERS:
        return _ANSWERS[name] + compact({k: v for k, v in do.items() if k != "send"})
    letter = _LETTERS[protocol][name]
    text, context_id = str(do.get("text", "")), str(do.get("context_id", ""))
    if text and context_id:
        return f"{letter.upper()}{context_id} {text}"
    return letter + (text or context_id)


def compact(value: object) -> str:
    """JSON in one line."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def message(given: Mapping[str, Any]) -> tuple[str, bytes | str]:
    """A message that arrives, as a step."""
    match given:
        case {"text": value}:
            return "<", compact(value)
        case {"raw": text}:
            return "<", text
        case {"binary": int(size)}:
            return "=", bytes(size)
        case {"binary": encoded}:
            return "=", base64.b64decode(encoded)
        case {"close": code}:
            return "x", f"{code} {given.get('reason', '')}"
    return "f", ""


def lines(vector: Mapping[str, Any]) -> Lines:
    """The steps of a vector, for the end that it tests."""
    peer, now = ("client" if vector.get("role") == "server" else "server"), 0.0
    yield "o", ""
    for step in vector["steps"]:
        if step["at"] > now or "timer" in step:
            yield "+", f"{step['at'] - now:.3g}"
            now = step["at"]
        if peer in step:
            yield message(step[peer])
        match step.get("do"):
            case {"send": _}:
                yield "!", command(vector["protocol"], step["do"])
            case {"close": _}:
                yield "c", ""
            case {"reconnect": _}:
                yield "r", ""


def mirrored(vector: Mapping[str, Any]) -> Lines:
    """A client's session as its server sees it: the client's messages arrive, the server's are commands."""
    yield "o", ""
    for step in vector["steps"]:
        if "client" in step:
            yield message(step["client"])
        match step.get("server"):
            case {"text": {"status": "chunk", "data": {"audio": str(audio)}}}:
                yield "!", b"a" + base64.b64decode(audio + "==", validate=False)
            case {"text": {"status": "word_timestamp", "data": dict(word)}}:
                yield "!", "w" + compact(word)
            case {"text": {"status": "complete"}}:
                yield "!", "c{}"
            case {"text": {"type": "speech_started" | "speech_ended"} as text}:
                yield "!", "v" + compact(text)
            case {"text": {"type": "transcription"} as text}:
                yield "!", "t" + compact(text)
            case {"close": _}:
                yield message(step["server"])


def stream(vector: Mapping[str, Any], sender: str) -> bytes:
    """What one end of a session sends, as WebSocket frames."""
    codec, out = FrameProtocol(sender == "client", []), b""
    for step in vector["steps"]:
        kind, argument = message(step[sender]) if sender in step else ("", "")
        if kind == "<" and argument:
            out += bytes(codec.send_data(argument))
        elif kind == "=":
            out += bytes(codec.send_data(argument[:64]))
        elif kind == "x" and step[sender]["close"] not in (1005, 1006):
            out += bytes(codec.ping(b"p")) + bytes(codec.close(step[sender]["close"], "why"))
    return out


def _sessions(protocol: str, role: str, table: scenario.Table) -> Iterator[bytes]:
    for vector in vectors(protocol):
        options = {**vector["options"], **vector["options"].get("limits", {})}
        steps: Callable[[Mapping[str, Any]], Lines] = (
            lines if vector.get("role", "client") == role else mirrored
        )
        if role == "client" and steps is mirrored:
            continue
        for compat in ("default", "seed") if "compat" in table else ("default",):
            yield scenario.write(scenario.settings({**options, "compat": compat}, table), steps(vector))


def _streams(sender: str) -> Iterator[bytes]:
    with wires.nothing_random():
        for protocol in ("pulse", "lightning"):
            line = scenario.settings({"protocol": protocol, "opened": True}, wires.TABLE)
            for vector in vectors(protocol):
                yield line + b"\n" + stream(vector, sender)


def _options() -> Iterator[bytes]:
    for kind, protocol in enumerate(("pulse", "lightning")):
        for vector in vectors(protocol):
            fields = [f"{k}={compact(v)}" for k, v in vector["options"].items()]
            yield f"{kind}\n".encode() + "\n".join(fields).encode()


def _targets() -> Iterator[bytes]:
    for protocol in ("pulse", "lightning"):
        for vector in vectors(protocol):
            if "target" in vector:
                yield b"0\n" + vector["target"].encode()


def _errors() -> Iterator[bytes]:
    for protocol in ("pulse", "lightning"):
        for vector in vectors(protocol):
            for step in vector["steps"]:
                text = step.get("server", {}).get("text", {})
                if isinstance(text, dict) and ("error" in text or text.get("status") == "error"):
                    yield b"00\n" + compact(text).encode()


_MADE: Mapping[str, Callable[[], Iterable[bytes]]] = {
    "pulse_messages": lambda: _sessions("pulse", "client", pulse_messages.TABLE),
    "pulse_server": lambda: _sessions("pulse", "server", pulse_server.TABLE),
    "lightning_messages": lambda: _sessions("lightning", "client", lightning_messages.TABLE),
    "lightning_server": lambda: _sessions("lightning", "server", lightning_server.TABLE),
    "websocket_client_bytes": lambda: _streams("server"),
    "websocket_server_bytes": lambda: _streams("client"),
    "options": _options,
    "urls_and_headers": _targets,
    "error_shapes": _errors,
}


def seeds(name: str) -> list[bytes]:
    """The seeds of one target, each once."""
    made = _MADE[name]() if name in _MADE else ()
    more = (*more_seeds.SEEDS.get(name, ()), *http_seeds.SEEDS.get(name, ()))
    return list(dict.fromkeys([*made, *more]))
