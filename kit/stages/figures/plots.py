"""Plots: curves as PNG files, by matplotlib without a screen."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kit.core import files

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Curve = tuple[Sequence[float], Sequence[float]]  # x, y


def draw_curves(
    lines: Mapping[str, Curve],
    title: str,
    x: str,
    y: str,
    log_x: bool = False,
    marks: Mapping[str, float] | None = None,
) -> Figure:
    """Draws named lines over one pair of axes; `marks` are named positions on the x axis."""
    figure, axes = _blank(title)
    for name, (places, values) in lines.items():
        axes.plot(places, values, label=name, linewidth=1.5 if len(lines) == 1 else 1.2)
    for number, (name, position) in enumerate((marks or {}).items()):
        axes.axvline(position, color=f"C{number + len(lines)}", linestyle="--", linewidth=1, label=name)
    if log_x:
        axes.set_xscale("log")
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(alpha=0.25)
    if len(lines) + len(marks or {}) > 1:
        axes.legend(frameon=False)
    return figure


def draw_stacked_bars(
    parts: Mapping[int, Mapping[str, int]], title: str, x: str, limit: float | None = None
) -> Figure:
    """Draws a bar for each number, made of named parts in bytes; `limit` is a horizontal line, if it is not
    far above.
    """
    figure, axes = _blank(title)
    names, places, scale = list(next(iter(parts.values()))), range(len(parts)), 2.0**30
    bottom = [0.0] * len(parts)
    for name in names:
        heights = [part[name] / scale for part in parts.values()]
        axes.bar(places, heights, bottom=bottom, label=name, width=0.6)
        bottom = [low + height for low, height in zip(bottom, heights, strict=True)]
    if limit is not None and limit / scale < 3 * max(bottom):
        axes.axhline(limit / scale, color="black", linestyle="--", linewidth=1, label="free")
    axes.set_xticks(places, [str(number) for number in parts])
    axes.set_xlabel(x)
    axes.set_ylabel("GiB")
    axes.grid(axis="y", alpha=0.25)
    axes.legend(frameon=False)
    return figure


def _blank(title: str) -> tuple[Figure, Any]:
    """Returns a figure and its axes, without pyplot, which would keep every figure for the life of the process."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, fontsize=11)
    return figure, axes


def write_figure(path: Path, figure: Figure) -> None:
    """Writes a figure as a PNG file, completely or not at all."""
    content = io.BytesIO()
    figure.savefig(content, format="png")
    files.write_bytes(path, content.getvalue())
