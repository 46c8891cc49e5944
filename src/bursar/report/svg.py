"""Charts as SVG text: axes, lines, bands and marks, coloured by the page's style sheet.

Made by hand because a page with a charting library inside is 5 MB, does not follow the reader's
dark mode, and shrinks its labels on a phone; this is some kilobytes, and text stays text.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import pairwise

WIDTH, HEIGHT = 560, 320
LEFT, RIGHT, TOP, BOTTOM = 74, 18, 18, 62

Point = tuple[float, float]

SHAPES = (
    "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0 -10 0z",  # circle
    "M-4.5 -4.5h9v9h-9z",  # square
    "M0 -6L5.6 4.4H-5.6z",  # triangle
    "M0 -6.3L5.6 0L0 6.3L-5.6 0z",  # diamond
    "M0 6L5.6 -4.4H-5.6z",  # triangle on its tip
    "M-2 -5.5h4v3.5h3.5v4h-3.5v3.5h-4v-3.5h-3.5v-4h3.5z",  # plus
    "M-5.5 -3.2L0 -6.4L5.5 -3.2V3.2L0 6.4L-5.5 3.2z",  # hexagon
    "M-6 -3h12v6h-12z",  # bar
)
"""Marks that differ by shape as well as by colour; series i takes shape i."""


@dataclass(frozen=True, slots=True)
class Axis:
    """A scale from data to a share of the axis, with its title (which names the unit)."""

    title: str
    low: float
    high: float
    label: Callable[[float], str]
    log: bool = False

    def place(self, value: float) -> float:
        """0 at `low`, 1 at `high`; a value outside is drawn at the edge."""
        low, high, at = self.low, self.high, value
        if self.log:
            low, high, at = math.log(low), math.log(high), math.log(max(value, self.low))
        return min(1.0, max(0.0, (at - low) / (high - low)))

    def ticks(self) -> list[float]:
        """Round values inside the axis: at most seven or so."""
        if self.log:
            decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            steps = (1, 2, 5) if len(decades) < 5 else (1,)
            found = [s * 10.0**d for d in decades for s in steps]
            found = [t for t in found if self.low * 0.999 <= t <= self.high * 1.001]
            return found[:: math.ceil(len(found) / 7) or 1]
        step = _round_step((self.high - self.low) / 6)
        first = math.ceil(self.low / step - 1e-9)
        return [i * step for i in range(first, math.floor(self.high / step + 1e-9) + 1)]


def axis(
    title: str,
    values: Sequence[float],
    label: Callable[[float], str],
    *,
    from_zero: bool = True,
    log: bool = False,
) -> Axis:
    """An axis that holds all `values`; empty or equal values get some room."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    if log:
        return Axis(title, low * 0.85, max(high, low * 1.01) * 1.15, label, log=True)
    if from_zero:
        low = min(0.0, low)
    high = high if high > low else low + 1.0
    room = 0.04 * (high - low)
    return Axis(title, low if from_zero else low - room, high + room, label)


@dataclass(slots=True)
class Chart:
    """A chart under construction; `drawn` holds its parts in painting order."""

    x: Axis
    y: Axis
    drawn: list[str] = field(default_factory=list)

    def at(self, point: Point) -> Point:
        """Data -> user units of the drawing."""
        return (
            LEFT + self.x.place(point[0]) * (WIDTH - LEFT - RIGHT),
            HEIGHT - BOTTOM - self.y.place(point[1]) * (HEIGHT - TOP - BOTTOM),
        )

    def line(self, points: Sequence[Point], style: str) -> None:
        """Straight lines through `points`."""
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in map(self.at, points))
        self.drawn.append(f'<polyline class="line {style}" points="{path}"/>')

    def steps(self, points: Sequence[Point], style: str) -> None:
        """A line that holds each value until the next point."""
        corners = [p for a, b in pairwise(points) for p in (a, (b[0], a[1]))]
        self.line([*corners, *points[-1:]], style)

    def band(self, lows: Sequence[Point], highs: Sequence[Point], style: str) -> None:
        """The area between two lines."""
        edge = " ".join(f"{x:.1f},{y:.1f}" for x, y in map(self.at, [*lows, *reversed(highs)]))
        self.drawn.append(f'<polygon class="band {style}" points="{edge}"/>')

    def whisker(self, x: float, low: float, high: float, style: str) -> None:
        """A vertical interval."""
        (px, bottom), (_, top) = self.at((x, low)), self.at((x, high))
        path = f"M{px:.1f} {bottom:.1f}V{top:.1f}m-4 0h8M{px - 4:.1f} {bottom:.1f}h8"
        self.drawn.append(f'<path class="line {style}" d="{path}"/>')

    def mark(self, point: Point, shape: str, style: str, tip: str) -> None:
        """A mark that says `tip` when pointed at or reached by the arrow keys."""
        x, y = self.at(point)
        self.drawn.append(
            f'<path class="mark {style}" transform="translate({x:.1f} {y:.1f})" d="{shape}" '
            f'data-tip="{escape(tip)}"/>'
        )

    def upright(self, x: float, text: str) -> None:
        """A vertical line across the chart with a word beside its top."""
        px, _ = self.at((x, self.y.low))
        anchor, gap = ("end", -5) if px > WIDTH / 2 else ("start", 5)
        self.drawn.append(
            f'<path class="limit" d="M{px:.1f} {TOP}V{HEIGHT - BOTTOM}"/>'
            f'<text x="{px + gap:.1f}" y="{TOP + 12}" text-anchor="{anchor}">{escape(text)}</text>'
        )

    def level(self, y: float, text: str) -> None:
        """A horizontal line across the chart with a word above its right end."""
        _, py = self.at((self.x.low, y))
        self.drawn.append(
            f'<path class="limit" d="M{LEFT} {py:.1f}H{WIDTH - RIGHT}"/>'
            f'<text x="{WIDTH - RIGHT}" y="{py - 5:.1f}" text-anchor="end">{escape(text)}</text>'
        )

    def slot(self, start: float, end: float, tip: str) -> None:
        """A stretch of the horizontal axis that says `tip`, as a mark does."""
        (left, _), (right, _) = self.at((start, self.y.low)), self.at((end, self.y.low))
        self.drawn.append(
            f'<rect class="slot" x="{left:.1f}" y="{TOP}" width="{right - left:.1f}" '
            f'height="{HEIGHT - TOP - BOTTOM}" data-tip="{escape(tip)}"/>'
        )

    def svg(self, name: str, says: str) -> str:
        """The drawing; `says` is what a screen reader is told."""
        return (
            f'<svg id="{name}" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" tabindex="0" '
            f'aria-label="{escape(says)}">{self._axes()}{"".join(self.drawn)}</svg>'
        )

    def _axes(self) -> str:
        bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
        parts = []
        for tick in self.y.ticks():
            _, y = self.at((self.x.low, tick))
            label = escape(self.y.label(tick))
            parts.append(f'<path class="grid" d="M{LEFT} {y:.1f}H{right}"/>')
            parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{label}</text>')
        for tick in self.x.ticks():
            x, _ = self.at((tick, self.y.low))
            label = escape(self.x.label(tick))
            parts.append(f'<path class="grid" d="M{x:.1f} {bottom}v5"/>')
            parts.append(f'<text x="{x:.1f}" y="{bottom + 21}" text-anchor="middle">{label}</text>')
        middle = (LEFT + right) / 2
        parts.append(f'<path class="axis" d="M{LEFT} {TOP}V{bottom}H{right}"/>')
        parts.append(
            f'<text class="title" x="{middle}" y="{HEIGHT - 10}" text-anchor="middle">'
            f"{escape(self.x.title)}</text>"
            f'<text class="title" transform="translate(16 {(TOP + bottom) / 2}) rotate(-90)" '
            f'text-anchor="middle">{escape(self.y.title)}</text>'
        )
        return "".join(parts)


def _round_step(least: float) -> float:
    """The smallest of 1, 2, 2.5, 5 times a power of ten that is at least `least`."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= least * 0.999)
