"""The figures as bars, an SVG written by hand."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from bench.growth_plot import growth_panels
from bench.peers import PEERS
from bench.plan import Figure, Measure
from bench.report import shown
from bench.rounds import Results, Spread

WIDTH = 980
LABEL = 250
BAR = 13
ROW = 19
HEAD = 40
GAP = 22
OURS, PEER, INK, WHISKER = "#0b7285", "#adb5bd", "#212529", "#495057"
_PANELS = (
    ("stt", "cpu_us"), ("tts", "cpu_us"), ("streams", "streams"), ("paced", "p99_us"), ("speech", "first_ms"),
    ("speech", "inferred_ms"), ("memory", "kb"), ("import", "ms"), ("connect", "ms"), ("tls", "ms"),
)  # fmt: skip


class Bar(NamedTuple):
    """One row of a panel."""

    label: str
    spread: Spread
    ours: bool


def plot(measures: Sequence[Measure], results: Results) -> str:
    """The SVG; one panel for each measurement, its shortest bar not necessarily the best."""
    parts: list[str] = []
    top = GAP
    by_name = {measure.name: measure for measure in measures}
    for name, key in _PANELS:
        if name in by_name:
            measure = by_name[name]
            figure = next(figure for figure in measure.figures if figure.key == key)
            top = _panel(parts, top, measure.title, figure, _bars(results, measure, figure))
    panels, height = growth_panels(results, GAP, top, GAP)
    parts += panels
    top += height
    style = f"text{{font:12px system-ui,sans-serif;fill:{INK}}}.t{{font-weight:600;font-size:13px}}.v{{font-size:11px}}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top}" width="{WIDTH}" height="{top}">'
        f'<style>{style}</style><rect width="100%" height="100%" fill="#fff"/>' + "".join(parts) + "</svg>\n"
    )


def _bars(results: Results, measure: Measure, figure: Figure) -> list[Bar]:
    return [
        Bar(peer.name, spread, peer.ours)
        for peer in PEERS
        if (spread := results.spread(measure.name, peer.name, figure.key)) is not None
    ]


def _panel(parts: list[str], top: int, title: str, figure: Figure, bars: Sequence[Bar]) -> int:
    if not bars:
        return top
    parts.append(f'<text class="t" x="{GAP}" y="{top + 16}">{escape(f"{title}: {figure.heading}")}</text>')
    most = max(bar.spread.most for bar in bars) or 1.0
    scale = (WIDTH - LABEL - 190) / most
    y = top + HEAD - 10
    for label, spread, ours in bars:
        middle = LABEL + spread.middle * scale
        parts.append(f'<text x="{LABEL - 8}" y="{y + 11}" text-anchor="end">{escape(label)}</text>')
        colour = OURS if ours else PEER
        parts.append(
            f'<rect x="{LABEL}" y="{y}" width="{max(1.0, middle - LABEL):.1f}" height="{BAR}" fill="{colour}"/>'
        )
        low, high = (LABEL + value * scale for value in (spread.least, spread.most))
        parts.append(f'<path d="M{low:.1f} {y + BAR / 2}H{high:.1f}" stroke="{WHISKER}" stroke-width="1.5"/>')
        text = shown(spread, figure.decimals)
        parts.append(f'<text class="v" x="{max(middle, high) + 6:.1f}" y="{y + 11}">{text}</text>')
        y += ROW
    return y + GAP
