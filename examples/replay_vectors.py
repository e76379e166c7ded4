"""Replays the session vectors in a folder against the public API; exit code 1 if one comes out differently."""

import base64
import json
import sys
import warnings
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

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


def payload(binary):
    return bytes(binary) if isinstance(binary, int) else base64.b64decode(binary)


def receive(conn, message, now):
    if "close" in message or "fault" in message:
        error = DeadlineExceeded(code=message["fault"]) if "fault" in message else None
        conn.receive_close(message.get("close", 1006), message.get("reason", ""), now, error=error)
    elif "binary" in message:
        conn.receive_message(payload(message["binary"]), now)
    else:
        conn.receive_message(message.get("raw", json.dumps(message.get("text"))), now)


def fits(wanted, got):
    """Whether all that is wanted is there; there may be more. 1 is not true."""
    if isinstance(wanted, dict):
        return isinstance(got, dict) and all(key in got and fits(wanted[key], got[key]) for key in wanted)
    if isinstance(wanted, list):
        return isinstance(got, list | tuple) and len(wanted) == len(got) and all(map(fits, wanted, got))
    if isinstance(wanted, bool) or isinstance(got, bool):
        return wanted is got
    return abs(wanted - got) < 1e-6 if isinstance(wanted, float) else wanted == got


def is_message(wanted, message, own):
    """Whether this went out: a client's to the last key, as a server may act on what is added."""
    if isinstance(message, bytes):
        return "binary" in wanted and message == payload(wanted["binary"])
    got = json.loads(message)
    return "text" in wanted and fits(wanted["text"], got) and (own == "server" or fits(got, wanted["text"]))


def asks_for(url):
    """Path and query; the order of parameters means nothing, and a space may be + or %20."""
    return urlsplit(url).path, sorted(parse_qsl(urlsplit(url).query, keep_blank_values=True))


def target(protocol, options):
    if protocol is lightning:
        return lightning.lightning_request(lightning.LightningOptions(**options), api_key=None).target
    given = {name: value for name, value in options.items() if name != "limits"}
    return pulse.pulse_request(msgspec.convert(given, pulse.PulseOptions), api_key=None).target


def shown(error):
    return {"type": type(error).__name__, **vars(error)}


def told(conn):
    while (event := conn.next_event()) is not NEED_DATA:
        yield {"type": type(event).__name__, **msgspec.to_builtins(event, enc_hook=shown)}


def is_refused(conn, command, now):
    try:
        conn.send(command, now)
    except LocalProtocolError:
        return True
    return False


def replay(vector, mode):
    protocol, own = {"pulse": pulse, "lightning": lightning}[vector["protocol"]], vector.get("role", "client")
    conn, options, sent, events = None, vector["options"], [], []
    if "target" in vector:
        assert asks_for(target(protocol, options)) == asks_for(vector["target"])
    for step in [{"at": 0.0, "do": {"reconnect": {}}}, *vector["steps"]]:
        do, now = step.get("do", {}), step["at"]
        while conn and (due := conn.next_deadline()) is not None and due <= now:
            conn.handle_timeout(due)
            sent += conn.messages_to_send()
        if own in step:
            assert is_message(step[own], sent.pop(0), own), step
            continue
        assert not sent, (step, sent)
        if "reconnect" in do:
            options = options | do["reconnect"]
            conn = connect(protocol, Role(own), options, mode, conn)
            conn.receive_open(now)
        elif "send" in do:
            assert is_refused(conn, command(protocol, **do), now) == step.get("refused", False), step
        elif "close" in do:
            conn.close(now)
        elif "wants_close" in step:
            assert (conn.close_requested or [None])[0] == step["wants_close"], step
        elif message := step.get("client") or step.get("server"):
            receive(conn, message, now)
        sent += conn.messages_to_send()
        events += told(conn)
    assert (sent, fits(vector["events"][mode], events)) == ([], True), (sent, events)


def replay_server(vector):
    """The other end: what its user is told. He has each text spoken by when the session's server says so."""
    options = lightning.lightning_options(vector.get("target", "/tts/live"))
    conn, events = lightning.LightningConnection(options, Role.SERVER), []
    for step in vector["steps"]:
        if "client" in step:
            receive(conn, step["client"], step["at"])
        elif step.get("server", {}).get("text", {}).get("status") == "complete" and not conn.reusable:
            conn.send(lightning.SendComplete(), step["at"])
        conn.messages_to_send()
        events += told(conn)
    assert fits(vector["server_events"], events), events


warnings.simplefilter("ignore")
failures, folder = [], Path(*sys.argv[1:2] or [Path(__file__).parents[1] / "tests" / "vectors"])
sessions = [json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("[pl]*/*.json"))]
for vector, mode in [(session, mode) for session in sessions for mode in session["events"]]:
    try:
        replay(vector, mode)
        if "server_events" in vector:
            replay_server(vector)
    except Exception as problem:
        failures.append(f"{vector['id']} ({mode}): {problem!r:.300}")
print(*failures, f"{len(sessions)} sessions, {len(failures)} failures", sep="\n")
sys.exit(bool(failures or not sessions))
