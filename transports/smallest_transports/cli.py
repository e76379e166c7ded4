"""The command `smallest-proto`: what it understands, and how it ends.

Exit codes: 0 done, 1 the service or the connection failed, 2 the input was no good, 130 interrupted.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import warnings
from collections.abc import Callable, Coroutine, Sequence
from typing import TypeAlias

from smallest_proto.endpoints import API_KEY_VARIABLE
from smallest_transports.commands.failures import Failure, exit_code, explain
from smallest_transports.commands.standard_streams import prepare

Command: TypeAlias = Callable[[argparse.Namespace], Coroutine[None, None, int]]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    arguments = parser().parse_args(argv)
    warnings.simplefilter("ignore" if arguments.quiet else "default")
    warnings.showwarning = _show_warning
    prepare(json=getattr(arguments, "json", False))
    code = 0
    try:
        code = _run(arguments)
        sys.stdout.flush()
    except OSError as error:
        if not code and not isinstance(error, BrokenPipeError):  # whose reader has left, and wants no more
            print(f"smallest-proto: standard output: {explain(error)}", file=sys.stderr)
        os.dup2(
            os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno()
        )  # Python flushes once more when it ends
        code = 1
    return code


def _run(arguments: argparse.Namespace) -> int:
    try:
        return asyncio.run(_command(arguments.command)(arguments))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        raise
    except ModuleNotFoundError as missing:
        print(
            f"smallest-proto: {arguments.command} needs the package {missing.name}: "
            "pip install 'smallest-proto[cli]'",
            file=sys.stderr,
        )
        return 1
    except Failure as failure:
        key = getattr(arguments, "api_key", None) or os.environ.get(API_KEY_VARIABLE)
        print(f"smallest-proto: {explain(failure, key)}", file=sys.stderr)
        return exit_code(failure)


def _command(name: str) -> Command:
    # imported late: `--help` and `serve` need not load audio libraries
    if name == "demo":
        from smallest_transports.commands.demo import demo as command
    elif name == "say":
        from smallest_transports.commands.say import say as command
    elif name == "transcribe":
        from smallest_transports.commands.transcribe import transcribe as command
    elif name == "voices":
        from smallest_transports.commands.voices import voices as command
    else:
        from smallest_transports.commands.serve import serve as command
    return command


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    print(f"smallest-proto: warning: {message}", file=sys.stderr)


def parser() -> argparse.ArgumentParser:
    """The arguments of every command."""
    top = argparse.ArgumentParser(
        prog="smallest-proto", description="Speech to text and text to speech over Smallest AI's protocols."
    )
    top.add_argument("--quiet", action="store_true", help="no warnings")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    demo = commands.add_parser(
        "demo", help="speak a sentence and transcribe it, on this machine, with no key"
    )
    demo.add_argument("-o", "--output", default="demo.wav", metavar="FILE.wav", help="where the speech goes")

    say = commands.add_parser("say", help="speak a text into a file")
    say.add_argument("text", metavar="TEXT", help="what to say; - reads standard input")
    say.add_argument(
        "-o", "--output", required=True, metavar="FILE", help="where it goes; - is standard output"
    )
    over = say.add_mutually_exclusive_group()
    over.add_argument("--http", action="store_true", help="over HTTP instead of a WebSocket")
    over.add_argument("--sse", action="store_true", help="over HTTP, as server-sent events")
    say.add_argument(
        "--format",
        choices=("wav", "mp3", "pcm", "ulaw", "alaw"),
        help="with --http: what to ask for and to save; unless given, as FILE is named, or WAV made here of PCM",
    )
    say.add_argument("--voice", metavar="ID", help="voice id; the model's default voice unless given")
    say.add_argument("--model", default="lightning_v3.1_pro")
    say.add_argument("--language", default="en")
    say.add_argument("--rate", type=int, default=24000, metavar="HZ", help="8000, 16000, 24000 or 44100")
    say.add_argument("--speed", type=float, default=1.0, help="0.5 to 2.0")
    say.add_argument("--words", action="store_true", help="print when each word is spoken")
    _add_service(say)

    transcribe = commands.add_parser("transcribe", help="transcribe audio files")
    transcribe.add_argument(
        "files", nargs="+", metavar="FILE", help="a sound file of any kind; - reads standard input"
    )
    transcribe.add_argument(
        "--realtime", action="store_true", help="send at the pace of speech, show interims"
    )
    transcribe.add_argument(
        "--batch", action="store_true", help="send each file as a whole, over HTTP, and wait for the result"
    )
    transcribe.add_argument(
        "--json", action="store_true", help="one JSON object per line, for each event or each result"
    )
    transcribe.add_argument("--words", action="store_true", help="show the time and confidence of each word")
    transcribe.add_argument(
        "--no-resume", action="store_true", help="fail when the connection is lost, instead of going on"
    )
    transcribe.add_argument("--language", default="en")
    transcribe.add_argument(
        "--endpoint",
        choices=("get_text", "live", "transcribe", "stt"),
        help="server path: get_text unless given; with --batch get_text or stt, stt unless given",
    )
    _add_service(transcribe)

    voices = commands.add_parser("voices", help="list the voices that there are")
    voices.add_argument("--json", action="store_true", help="one JSON object per line")
    _add_service(voices)

    serve = commands.add_parser("serve", help="run the local server, for development and tests")
    serve.add_argument("--port", type=int, default=0, help="0 takes a free one")
    serve.add_argument("--engine", choices=("local", "scripted"), default="local")
    serve.add_argument("--api-key", help="the only key to accept; any, and none, unless given")
    serve.add_argument("--until-eof", action="store_true", help="end when standard input does")
    serve.add_argument(
        "--tls-cert", metavar="FILE", help="serve with TLS: a certificate for localhost, in PEM"
    )
    serve.add_argument(
        "--tls-key", metavar="FILE", help="its key, in PEM; in the file of the certificate unless given"
    )
    serve.add_argument("--max-connections", type=int, metavar="N", help="refuse more than this many with 503")
    serve.add_argument(
        "--max-message-bytes", type=int, metavar="N", help="the largest WebSocket message; 4 MiB"
    )
    serve.add_argument(
        "--drain",
        type=float,
        default=10.0,
        metavar="SECONDS",
        help="how long sessions may go on after SIGTERM; 10 unless given. A second signal, or Ctrl-C, ends at once",
    )
    serve.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="NAME[=VALUE]",
        help="something to do wrong, for testing clients; can be given again",
    )
    serve.add_argument("--list-faults", action="store_true", help="show what there is for --fault")
    serve.add_argument(
        "--chaos",
        type=int,
        metavar="SEED",
        help="drop, reset, stall and refuse connections, as drawn from this number, and tell on standard error",
    )
    serve.add_argument(
        "--chaos-drops",
        type=int,
        metavar="N",
        help="how many connections --chaos ends badly; 10 unless given",
    )
    return top


def _add_service(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--base-url",
        metavar="URL",
        help=f"the service to use; without it and {API_KEY_VARIABLE}, engines on this machine",
    )


if __name__ == "__main__":
    sys.exit(main())
