"""Replays the session vectors in a folder against the public API; exit code 1 if one comes out differently."""

import base64
import json
import sys
import warnings
from contextlib import nullcontext, suppress
from pathlib import Path

import msgspec

from smallest_proto import NEED_DATA, DeadlineExceeded, Limits, LocalProtocolError, Role, lightning, pulse

NAMES = {
    "keepalive": "KeepAlive",
    "pong": "PongMessage",
    "transcript": "TranscriptMessage",
    "vad": "VadMessage",
}
NAMES |= {"error": "ErrorMessage", "open": "OpenContext", "text": "SendText", "finish": "FinishContext"}
NAMES |= {"cancel": "CancelContext", "close_stream": "CloseStream", "keep_alive": "KeepAlive"}


def connect(protocol, role, options, mode, old):
    if protocol is lightning:
        return lightning.LightningConnection(lightning.LightningOptions(**options), role)
    limits = Limits(**options.get("limits", {}))
    given = {name: value for name, value in options.items() if name != "limits"} | {"compat": mode}
    return pulse.PulseConnection(
        msgspec.convert(given, pulse.PulseOptions), role, limits=limits, previous=old
    )


def command(protocol, send, bytes=None, **fields):
    name = "FlushText" if (protocol, send) == (lightning, "flush") else NAMES.get(send, send.title())
    return msgspec.convert(fields, getattr(protocol, name)) if bytes is None else pulse.Audio(b"\0" * bytes)


def receive(conn, message, now):
    if "close" in message or "fault" in message:
        error = DeadlineExceeded(code=message["fault"]) if "fault" in message else None
        conn.receive_close(message.get("close", 1006), message.get("reason", ""), now, error=error)
    elif isinstance(data := message.get("binary"), int | str):
        conn.receive_message(bytes(data) if isinstance(data, int) else base64.b64decode(data), now)
    else:
        conn.receive_message(message.get("raw", json.dumps(message.get("text"))), now)


def fits(wanted, got):
    if isinstance(wanted, dict):
        return isinstance(got, dict) and all(key in got and fits(wanted[key], got[key]) for key in wanted)
    if isinstance(wanted, list):
        return len(wanted) == len(got) and all(map(fits, wanted, got))
    return abs(wanted - got) < 1e-6 if isinstance(wanted, float) else wanted == got


def shown(error):
    return {"type": type(error).__name__, **vars(error)}


def replay(vector, mode):
    protocol, own = {"pulse": pulse, "lightning": lightning}[vector["protocol"]], vector.get("role", "client")
    conn, options, sent, events = None, vector["options"], [], []
    for step in [{"at": 0.0, "do": {"reconnect": {}}}, *vector["steps"]]:
        do, now = step.get("do", {}), step["at"]
        while conn and (due := conn.next_deadline()) is not None and due <= now:
            conn.handle_timeout(due)
            sent += conn.messages_to_send()
        if own in step:
            message, wanted = sent.pop(0), step[own]
            assert wanted.get("binary") == len(message) or fits(wanted["text"], json.loads(message)), step
        elif "reconnect" in do:
            options = options | do["reconnect"]
            conn = connect(protocol, Role(own), options, mode, conn)
            conn.receive_open(now)
        elif "send" in do:
            with suppress(LocalProtocolError) if step.get("refused") else nullcontext():
                conn.send(command(protocol, **do), now)
        elif "close" in do:
            conn.close(now)
        elif "wants_close" in step:
            assert (conn.close_requested or [None])[0] == step["wants_close"], step
        elif message := step.get("client") or step.get("server"):
            receive(conn, message, now)
        sent += conn.messages_to_send()
        while (event := conn.next_event()) is not NEED_DATA:
            events.append({"type": type(event).__name__, **msgspec.to_builtins(event, enc_hook=shown)})
    assert (sent, fits(vector["events"][mode], events)) == ([], True), (sent, events)


warnings.simplefilter("ignore")
failures, folder = [], Path(*sys.argv[1:2] or [Path(__file__).parents[1] / "tests" / "vectors"])
sessions = [json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("[pl]*/*.json"))]
for vector, mode in [(session, mode) for session in sessions for mode in session["events"]]:
    try:
        replay(vector, mode)
    except Exception as problem:
        failures.append(f"{vector['id']} ({mode}): {problem!r:.300}")
print(*failures, f"{len(sessions)} sessions, {len(failures)} failures", sep="\n")
sys.exit(bool(failures or not sessions))
