"""How costs grow: a small panel for each kind, its x axis logarithmic, with a line for each client.

The y axis is CPU for each second of audio, so that a flat line is linear growth and a falling one better.
"""

from __future__ import annotations

from html import escape
from math import log

from bench.peers import ASYNCIO, FAST, OFFICIAL, PEERS, TRIO
from bench.plan import GROWTH, Growth
from bench.rounds import Results

PANEL_WIDTH, PANEL_HEIGHT = 440, 230
_LEFT, _RIGHT, _TOP, _BOTTOM = 50, 20, 64, 36
_COLOURS = {OFFICIAL: "#868e96", ASYNCIO: "#0b7285", FAST: "#e8590c", TRIO: "#6741d9"}
_OTHERS = "#2b8a3e"
_RULE = "#dee2e6"
_IN_A_ROW = 2

Line = dict[int, float]
"""What was measured at each point."""


def growth_panels(results: Results, left: int, top: int, gap: int) -> tuple[list[str], int]:
    """The SVG of all panels that have lines, two in a row, and the height they take."""
    panels = [(growth, lines) for growth in GROWTH if (lines := _lines(growth, results))]
    parts = []
    for index, (growth, lines) in enumerate(panels):
        row, column = divmod(index, _IN_A_ROW)
        x, y = left + column * (PANEL_WIDTH + gap), top + row * (PANEL_HEIGHT + gap)
        parts.append(f'<g transform="translate({x},{y})">{"".join(_panel(growth, lines))}</g>')
    return parts, -(-len(panels) // _IN_A_ROW) * (PANEL_HEIGHT + gap)


def _lines(growth: Growth, results: Results) -> dict[str, Line]:
    lines: dict[str, Line] = {}
    for peer in PEERS:
        for point in growth.points:
            if (spread := results.spread(growth.name(point), peer.name, "cpu_us")) is not None:
                lines.setdefault(peer.name, {})[point] = spread.middle
    return lines


def _panel(growth: Growth, lines: dict[str, Line]) -> list[str]:
    most = max(value for line in lines.values() for value in line.values()) or 1.0
    first, last = min(growth.points), max(growth.points)
    bottom = PANEL_HEIGHT - _BOTTOM

    def x(point: int) -> float:
        return _LEFT + (PANEL_WIDTH - _LEFT - _RIGHT) * log(point / first) / log(last / first)

    def y(value: float) -> float:
        return bottom - (bottom - _TOP) * value / most

    title = f"{growth.title}: CPU µs/s"
    parts = [f'<text class="t" x="0" y="14">{escape(title)}</text>']
    for value in (0.0, most / 2, most):
        parts.append(f'<path d="M{_LEFT} {y(value):.1f}H{PANEL_WIDTH - _RIGHT}" stroke="{_RULE}"/>')
        parts.append(
            f'<text class="v" x="{_LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{value:.0f}</text>'
        )
    for point in growth.points:
        parts.append(
            f'<text class="v" x="{x(point):.1f}" y="{bottom + 16}" text-anchor="middle">{point:,}</text>'
        )
    parts.append(
        f'<text class="v" x="{PANEL_WIDTH - _RIGHT}" y="{bottom + 30}" text-anchor="end">{growth.unit}</text>'
    )
    for index, (name, line) in enumerate(lines.items()):
        colour = _COLOURS.get(name, _OTHERS)
        row, column = divmod(index, 2)
        parts.append(
            f'<text class="v" x="{column * PANEL_WIDTH // 2}" y="{31 + 14 * row}">'
            f'<tspan fill="{colour}">●</tspan> {escape(name)}</text>'
        )
        path = " ".join(f"{x(point):.1f},{y(value):.1f}" for point, value in line.items())
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for point, value in line.items():
            parts.append(
                f'<circle cx="{x(point):.1f}" cy="{y(value):.1f}" r="3" fill="{colour}">'
                f"<title>{escape(name)}: {value:.0f}</title></circle>"
            )
    return parts
