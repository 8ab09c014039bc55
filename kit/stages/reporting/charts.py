"""Charts: small SVG pictures with the page's colours, so that they suit light and dark mode and paper.

Lines differ by dashes as well as by colour, and each picture has a description in words.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

WIDTH, HIGH = 360, 210
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 10, 34  # pixels around the plot
POINTS = 150  # of a line; more cannot be seen
STYLES = 6  # lines that look different


@dataclass(frozen=True)
class Line:
    """Named points, without those that have no value."""

    name: str
    x: Sequence[float]
    y: Sequence[float | None]

    def points(self) -> list[tuple[float, float]]:
        """Returns the points that have values, thinned evenly; the last one stays."""
        points = [(float(x), y) for x, y in zip(self.x, self.y, strict=True) if y is not None]
        step = -(-len(points) // POINTS) or 1
        return [*points[:-1:step], *points[-1:]]


@dataclass(frozen=True)
class Axes:
    """The ranges of a plot, and the positions of its values in pixels."""

    left: float
    right: float
    low: float
    high: float

    @classmethod
    def around(cls, points: Sequence[tuple[float, float]], xs: Sequence[float]) -> Axes:
        """Returns ranges that contain all points and all of `xs`, with a small margin above and below."""
        ys = [y for _, y in points]
        air = 0.06 * (max(ys) - min(ys)) or 0.05 * abs(max(ys)) or 1.0
        wide = 0.0 if max(xs) > min(xs) else 0.5
        return cls(min(xs) - wide, max(xs) + wide, min(ys) - air, max(ys) + air)

    def x(self, value: float) -> float:
        return LEFT + (value - self.left) / (self.right - self.left) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        return HIGH - BOTTOM - (value - self.low) / (self.high - self.low) * (HIGH - TOP - BOTTOM)


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Returns round numbers from low to high, at most this many: steps of 1, 2 or 5 times a power of ten."""
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * times for times in (1, 2, 5, 10) if power * times >= rough)
    first = math.ceil(low / step - 1e-9)
    return [number * step for number in range(first, math.floor(high / step + 1e-9) + 1)]


def lines(chart_lines: Sequence[Line], title: str, x: str, y: str) -> Markup:
    """Draws lines over one pair of axes, with a legend if there are several; empty without values."""
    lines_drawn = [(line.name, points) for line in chart_lines if (points := line.points())]
    if not lines_drawn:
        return Markup()
    axes = Axes.around(
        [point for _, points in lines_drawn for point in points], [x for line in chart_lines for x in line.x]
    )
    parts = [
        Markup('<polyline class="line s{}" points="{}"/>').format(number % STYLES, _path(axes, points))
        if len(points) > 1
        else Markup('<circle class="dot s{}" cx="{:.1f}" cy="{:.1f}" r="3"/>').format(
            number % STYLES, axes.x(points[0][0]), axes.y(points[0][1])
        )
        for number, (_, points) in enumerate(lines_drawn)
    ]
    ends = "; ".join(f"{name} ends at {points[-1][1]:.4g}" for name, points in lines_drawn[:STYLES])
    return _figure(
        title, f"{y} by {x}: {ends}", [_grid(axes, x, y), *parts], [name for name, _ in lines_drawn]
    )


def _path(axes: Axes, points: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{axes.x(x):.1f},{axes.y(y):.1f}" for x, y in points)


def _grid(axes: Axes, x: str, y: str) -> Markup:
    parts = [Markup('<g class="grid">')]
    for value in ticks(axes.low, axes.high):
        parts.append(_across(axes.y(value)) + _text(LEFT - 5, axes.y(value) + 3.5, _short(value), "end"))
    parts.append(Markup("</g><g>"))
    parts += [
        _text(axes.x(value), HIGH - BOTTOM + 14, _short(value)) for value in ticks(axes.left, axes.right)
    ]
    return Markup("").join([*parts, _text((LEFT + WIDTH - RIGHT) / 2, HIGH - 4, x), Markup("</g>")])


def _across(height: float) -> Markup:
    return Markup('<line x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}"/>').format(
        LEFT, WIDTH - RIGHT, height, height
    )


def _text(x: float, y: float, text: str, anchor: str = "middle") -> Markup:
    return Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>').format(x, y, anchor, text)


def _short(value: float) -> str:
    if value and abs(value) < 1e-3:
        return f"{value:.0e}".replace("e-0", "e-")
    return f"{value / 1000:g}k" if abs(value) >= 10_000 else f"{round(value, 6):g}"


def _figure(title: str, text: str, parts: Sequence[Markup], names: Sequence[str] = ()) -> Markup:
    legend = Markup('<p class="legend">{}</p>').format(_keys(names)) if len(names) > 1 else ""
    return Markup(
        '<figure class="chart"><figcaption>{}</figcaption>'
        '<svg viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>{}</figure>'
    ).format(title, WIDTH, HIGH, f"{title}: {text}", Markup("").join(parts), legend)


def _keys(names: Sequence[str]) -> Markup:
    key = Markup(
        '<span class="key"><svg viewBox="0 0 24 8" aria-hidden="true">'
        '<line class="line s{}" x1="0" x2="24" y1="4" y2="4"/></svg>{}</span>'
    )
    return Markup("").join(key.format(number % STYLES, name) for number, name in enumerate(names))


def bars(values: Sequence[float], title: str, text: str, y: str) -> Markup:
    """Draws one bar per value, side by side, to show the shape of many; `text` describes them."""
    axes = Axes(0, max(len(values), 1), 0, max([*values, 1]) * 1.05)
    wide = axes.x(1) - axes.x(0)
    gap = 1.0 if wide > 4 else 0.2
    parts = [
        Markup('<rect class="bar" x="{:.2f}" y="{:.1f}" width="{:.2f}" height="{:.1f}"/>').format(
            axes.x(index), axes.y(value), max(wide - gap, 0.5), axes.y(0) - axes.y(value)
        )
        for index, value in enumerate(values)
    ]
    scale = [
        _across(axes.y(at)) + _text(LEFT - 5, axes.y(at) + 3.5, _short(at), "end")
        for at in ticks(0, axes.high)
    ]
    grid = Markup('<g class="grid">{}</g>').format(Markup("").join(scale))
    return _figure(title, text, [grid, *parts, _text((LEFT + WIDTH - RIGHT) / 2, HIGH - 12, y)])


def diagonal(
    points: Sequence[tuple[float, float, str]], title: str, x: str, y: str, whole: bool = False
) -> Markup:
    """Draws named points beside the line y = x; `whole`: both axes run from 0 to 1."""
    if not points:
        return Markup()
    values = [value for point in points for value in point[:2]]
    air = 0.1 * (max(values) - min(values)) or 0.01
    low, high = (0.0, 1.0) if whole else (min(values) - air, max(values) + air)
    axes = Axes(low, high, low, high)
    line = Markup('<line class="even" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>').format(
        axes.x(low), axes.y(low), axes.x(high), axes.y(high)
    )
    dots = [
        Markup('<circle class="dot s0" cx="{:.1f}" cy="{:.1f}" r="4"/>').format(axes.x(a), axes.y(b))
        + (_text(axes.x(a) + 7, axes.y(b) + 4, name, "start") if name else Markup())
        for a, b, name in points
    ]
    path = [
        Markup('<polyline class="line s0" points="{}"/>').format(_path(axes, [(a, b) for a, b, _ in points]))
    ]
    points_text = "; ".join(f"{name} {a:.3g} to {b:.3g}".strip() for a, b, name in points[:20])
    return _figure(
        title,
        f"{y} by {x}, beside the line of equals: {points_text}",
        [
            _grid(axes, x, y),
            line,
            *(path if whole else []),
            *dots,
        ],
    )


def share(value: float | None) -> Markup:
    """Draws a bar of a share from 0 to 1, beside its number."""
    wide = 100 * min(max(value or 0.0, 0.0), 1.0)
    return Markup(
        '<svg class="share" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">'
        '<rect class="rest" width="100" height="10"/><rect width="{:.1f}" height="10"/></svg>'
    ).format(wide)
