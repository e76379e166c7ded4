"""Draws the transition tables as SVG: `python tools/diagrams.py` rewrites docs/diagrams.

Each diagram is a matrix, one column a state and one row an input, under a graph of arrows between the columns.
The same tables give the same bytes, so a test can tell when a committed diagram is stale.
"""

from __future__ import annotations

import colorsys
import sys
from collections.abc import Iterable, Mapping
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple
from xml.sax.saxutils import escape, quoteattr

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from smallest_proto import exchange_states  # noqa: E402 - found by the line above
from smallest_proto.lightning import server_states as lightning_server  # noqa: E402
from smallest_proto.lightning import states as lightning_client  # noqa: E402
from smallest_proto.machine import Row  # noqa: E402
from smallest_proto.pulse import session_states, speech_tables  # noqa: E402
from smallest_proto.pulse import states as pulse  # noqa: E402
from smallest_proto.wire import http_states, states  # noqa: E402

FOLDER = ROOT / "docs" / "diagrams"


class Diagram(NamedTuple):
    """A table and how it is called."""

    title: str
    source: str
    table: Mapping[Any, Row[Any, Any]]


DIAGRAMS = {
    "pulse-client": Diagram("Pulse, client", "pulse/states.py", pulse.CLIENT),
    "pulse-server": Diagram("Pulse, server", "pulse/states.py", pulse.SERVER),
    "pulse-session": Diagram(
        "Pulse, a session over many connections", "pulse/session_states.py", session_states.SESSION
    ),
    "speech-default": Diagram("Start and end of speech", "pulse/speech_tables.py", speech_tables.DEFAULT),
    "speech-seed": Diagram(
        'Start and end of speech, compat="seed"', "pulse/speech_tables.py", speech_tables.SEED
    ),
    "lightning-client": Diagram("Lightning, client", "lightning/states.py", lightning_client.CLIENT),
    "lightning-server": Diagram("Lightning, server", "lightning/server_states.py", lightning_server.SERVER),
    "websocket-client": Diagram("WebSocket, client", "wire/states.py", states.CLIENT),
    "websocket-server": Diagram("WebSocket, server", "wire/states.py", states.SERVER),
    "http-client": Diagram("HTTP connection, client", "wire/http_states.py", http_states.CLIENT),
    "http-server": Diagram("HTTP connection, server", "wire/http_states.py", http_states.SERVER),
    "http-exchange": Diagram("HTTP response", "exchange_states.py", exchange_states.TABLE),
}

LABELS, COLUMN, LINE, MARGIN, PADDING = 236, 152, 16, 20, 7
"""Widths of the input labels and of a state's column, height of a line, and the empty space around."""

ROOM = COLUMN - 2 * PADDING
ARC = 17
WIDEST_LETTER = 6.6
"""Pixels that a letter of the small type takes, on the safe side."""

HUES = (212, 265, 150, 28, 330, 185, 95, 0, 290)
"""The hue of each state in the order of the columns, told apart on white and on black alike."""

DASHES = "4 3"


class Theme(NamedTuple):
    """Colours for a light or a dark page. The card is opaque, so that a wrong guess stays legible."""

    paper: str
    ink: str
    faint: str
    rule: str
    stripe: str
    strong: float
    """Lightness of what stands in the colour of a state."""
    wash: float
    """Lightness of its box."""

    def rules(self, states: int) -> list[str]:
        """The style sheet: plain rules, so that programs other than browsers can draw the file too."""
        rules = [
            f"text{{fill:{self.ink}}}.faint{{fill:{self.faint}}}.stripe{{fill:{self.stripe}}}",
            f".card{{fill:{self.paper};stroke:{self.rule}}}",
        ]
        for i in range(states):
            strong, wash = (colour(HUES[i % len(HUES)], light) for light in (self.strong, self.wash))
            rules.append(
                f".a{i}{{stroke:{strong}}}.n{i},.h{i}{{fill:{strong}}}.b{i}{{fill:{wash};stroke:{strong}}}"
            )
        return rules


LIGHT = Theme("#ffffff", "#1f2328", "#656d76", "#d0d7de", "#f6f8fa", 0.36, 0.94)
DARK = Theme("#0d1117", "#e6edf3", "#8d96a0", "#30363d", "#161b22", 0.72, 0.16)
FONT = 'text{font:12px system-ui,-apple-system,"Segoe UI",Helvetica,Arial,sans-serif}'
SHAPES = (
    ".title{font-size:17px;font-weight:600}.action{font-size:11.5px}.name,.state{font-weight:600}"
    ".arc{fill:none;stroke-width:1.6}"
)


def colour(hue: int, lightness: float) -> str:
    """A colour as the hexadecimal notation that every program reads."""
    parts = colorsys.hls_to_rgb(hue / 360, lightness, 0.65)
    return "#" + "".join(f"{round(255 * part):02x}" for part in parts)


def style(states: int) -> str:
    """Light by default, dark where the reader asks for it."""
    dark = "".join(DARK.rules(states))
    return "\n".join([FONT, SHAPES, *LIGHT.rules(states), f"@media (prefers-color-scheme:dark){{{dark}}}"])


def words(member: Enum) -> str:
    """The name of a member as words."""
    return member.name.lower().replace("_", " ")


def wrap(text: str, width: float) -> list[str]:
    """The text in lines that fit."""
    lines: list[str] = []
    for word in text.split(" "):
        if lines and len(lines[-1]) + 1 + len(word) <= width / WIDEST_LETTER:
            lines[-1] += " " + word
        else:
            lines.append(word)
    return lines


def label(given: Enum) -> list[str]:
    """The name of an input in lines; all but the first are indented."""
    first, *others = wrap(str(given.value), LABELS - 4 * PADDING)
    return [first, *("\N{NO-BREAK SPACE}" * 3 + line for line in others)]


class Line(NamedTuple):
    """One line of a cell, and the class it is drawn in."""

    text: str
    style: str


Cells = list[list[Line]]


class Matrix:
    """A table laid out: columns, and rows in which inputs that always do the same stand together."""

    def __init__(self, table: Mapping[Any, Row[Any, Any]]) -> None:
        used = {state for state, _ in table} | {row.state for row in table.values()}
        left = {state for (state, _), row in table.items() if row.state is not state}
        ordered = [state for state in type(next(iter(used))) if state in used]
        self.states = sorted(ordered, key=lambda state: state not in left)  # the end stands last
        given = {given for _, given in table}
        grouped: dict[tuple[Row[Any, Any] | None, ...], list[Enum]] = {}
        for one in type(next(iter(given))):
            if one in given:
                grouped.setdefault(tuple(table.get((state, one)) for state in self.states), []).append(one)
        self.rows = [(inputs, self._cells(row)) for row, inputs in grouped.items()]
        actions = {action for row in table.values() for action in row.actions}
        self.actions = [a for a in type(next(iter(actions))) if a in actions] if actions else []
        numbers = {state: i for i, state in enumerate(self.states)}
        self.arrows = sorted(
            {(numbers[s], numbers[row.state]) for (s, _), row in table.items() if s is not row.state},
            key=lambda arrow: (abs(arrow[0] - arrow[1]), arrow),
        )

    def _cells(self, rows: Iterable[Row[Any, Any] | None]) -> Cells:
        cells: Cells = []
        for state, row in zip(self.states, rows, strict=True):
            if row is None:
                cells.append([])
                continue
            lines = []
            if row.state is not state:
                kind = f"state n{self.states.index(row.state)}"
                lines += [Line(text, kind) for text in wrap(f"→\N{NO-BREAK SPACE}{row.state.value}", ROOM)]
            elif not row.actions:
                lines.append(Line("·", "faint"))
            for action in row.actions:
                lines += [Line(text, "action") for text in wrap(words(action), ROOM)]
            cells.append(lines)
        return cells


def draw(diagram: Diagram) -> str:
    """The diagram as a whole SVG file."""
    matrix = Matrix(diagram.table)
    width = 2 * MARGIN + LABELS + COLUMN * len(matrix.states)
    out: list[str] = []
    y: float = MARGIN + 18
    out.append(text(MARGIN, y, diagram.title, "title"))
    out.append(text(MARGIN, y + 20, f"smallest_proto/{diagram.source}", "faint"))
    top = y + 30 + ARC * max([abs(a - b) for a, b in matrix.arrows], default=0)
    out += arcs(matrix, top)
    y = top
    names = [wrap(state.value, ROOM) for state in matrix.states]
    tall = 10 + LINE * max(map(len, names))
    for number, name in enumerate(names):
        x = column(number)
        out.append(
            f'<rect class="b{number}" x="{x + 4}" y="{y:g}" width="{COLUMN - 8}" height="{tall}" rx="6"/>'
        )
        first = y + 17 + (tall - 10 - LINE * len(name)) / 2
        for i, line in enumerate(name):
            out.append(text(x + COLUMN / 2, first + LINE * i, line, f"state n{number}", middle=True))
    y += tall + 8
    for number, (inputs, cells) in enumerate(matrix.rows):
        labels = [line for one in inputs for line in label(one)]
        tall = LINE * max(len(labels), *map(len, cells)) + 2 * PADDING - 2
        if number % 2 == 0:
            box = f'x="{MARGIN - 8}" y="{y:g}" width="{width - 2 * MARGIN + 16}" height="{tall}" rx="4"'
            out.append(f'<rect class="stripe" {box}/>')
        out += lines_of([Line(line, "name") for line in labels], MARGIN, y)
        for i, cell in enumerate(cells):
            out += lines_of(cell, column(i) + PADDING, y)
        y += tall
    y += 22
    out += legend(matrix, y)
    height = y + LINE * (1 + (len(matrix.actions) + 1) // 2) + MARGIN
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height:g}" width="{width}" '
            f'height="{height:g}" role="img" aria-label={quoteattr(diagram.title + ": states and transitions")}>',
            f"<style>{style(len(matrix.states))}</style>",
            f'<rect class="card" x="0.5" y="0.5" width="{width - 1}" height="{height - 1:g}" rx="10"/>',
            *out,
            "</svg>\n",
        ]
    )


def column(number: int) -> int:
    """Where a state's column begins."""
    return MARGIN + LABELS + COLUMN * number


def arcs(matrix: Matrix, top: float) -> list[str]:
    """An arrow between the columns for each change of state; it has the colour of the state it leads to."""
    out = []
    for start, end in matrix.arrows:
        step = 1 if end > start else -1
        spread = COLUMN / 2 - 16
        # forward arrows leave right of the middle and arrive left of it, backward ones the other way about
        far = abs(end - start) / len(matrix.states)
        x1 = column(start) + COLUMN / 2 + step * spread * (1 - 0.6 * far)
        x2 = column(end) + COLUMN / 2 - step * spread * (1 - 0.6 * far)
        if step < 0:
            x1, x2 = x1 + 7, x2 + 7
        height = 14 + ARC * (abs(end - start) - 0.6)
        y = top - 1
        bend = f"M{x1:.1f} {y:g}C{x1:.1f} {y - height * 1.25:.1f} {x2:.1f} {y - height * 1.25:.1f} {x2:.1f} {y - 5:g}"
        dash = f' stroke-dasharray="{DASHES}"' if step < 0 else ""
        out.append(f'<path class="arc a{end}" d="{bend}"{dash}/>')
        out.append(f'<path class="h{end}" d="M{x2 - 4:.1f} {y - 7:g}h8l-4 7z"/>')
    return out


def legend(matrix: Matrix, y: float) -> list[str]:
    """How to read a cell, and what each action means."""
    out = [
        text(
            MARGIN,
            y,
            "→ next state, then the actions in order;   ·  nothing happens;   empty: refused",
            "faint",
        )
    ]
    y += LINE * 1.5
    half = (len(matrix.actions) + 1) // 2
    middle = max(330, column(len(matrix.states)) // 2)
    for i, action in enumerate(matrix.actions):
        x, line = (MARGIN, i) if i < half else (middle, i - half)
        name = f'<tspan class="name">{escape(words(action))}</tspan>: {escape(action.value)}'
        out.append(f'<text class="action" x="{x}" y="{y + LINE * line:g}">{name}</text>')
    return out


def lines_of(lines: Iterable[Line], x: float, y: float) -> list[str]:
    """The lines below one another, from the top of their row."""
    return [text(x, y + PADDING + 10 + LINE * i, line.text, line.style) for i, line in enumerate(lines)]


def text(x: float, y: float, content: str, kind: str, *, middle: bool = False) -> str:
    """One piece of text."""
    anchor = ' text-anchor="middle"' if middle else ""
    return f'<text class="{kind}" x="{x:g}" y="{y:g}"{anchor}>{escape(content)}</text>'


def main() -> None:
    """Write every diagram, and remove what is none."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for path in FOLDER.glob("*.svg"):
        if path.stem not in DIAGRAMS:
            path.unlink()
    for name, diagram in DIAGRAMS.items():
        (FOLDER / f"{name}.svg").write_text(draw(diagram), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
