"""Heat map: one picture of the members' correlation, the overlap of their errors and the gain of each."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from kit.stages.blending.diversity import Diversity

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

WIDE, HIGH, GAP = 40, 26, 16  # pixels of a cell, and between the parts
TITLE = 130  # pixels for the title of a part
INK, PAPER = (40, 40, 40), (255, 255, 255)
DEEP = np.array([33, 79, 140])  # the colour of 1
GOOD, BAD = (46, 125, 80), (178, 60, 48)


def heat_colour(value: float, low: float = 0.0) -> tuple[int, int, int]:
    """Returns white at `low` and below, deep blue at 1, and linear colours between."""
    share = float(np.clip((value - low) / (1 - low), 0, 1)) if low < 1 else 1.0
    red, green, blue = np.rint(255 + share * (DEEP - 255)).astype(int).tolist()
    return red, green, blue


def floor_of(matrix: np.ndarray) -> float:
    """Returns the least value of a matrix, rounded down to tenths, at which a heat map's colours start."""
    return float(np.floor(10 * matrix.min()) / 10)


def png(diversity: Diversity) -> bytes:
    """Returns the picture as the bytes of a PNG file."""
    from PIL import Image, ImageDraw, ImageFont

    font, count = ImageFont.load_default(13), len(diversity.names)
    labels = [f"{number} {name}" for number, name in enumerate(diversity.names, 1)]
    left = GAP + int(max(font.getlength(text) for text in labels)) + GAP
    side, bars = max(count * WIDE, TITLE), TITLE + 40 if diversity.gains else 0
    size = (left + 2 * side + 3 * GAP + bars, (count + 3) * HIGH + GAP)
    picture = Image.new("RGB", size, PAPER)
    pen = ImageDraw.Draw(picture)
    pen.font = font
    for row, text in enumerate(labels):
        pen.text((GAP, (row + 2) * HIGH + 5), text, INK)
    for index, (title, matrix) in enumerate(
        (("correlation", diversity.correlation), ("overlap of errors", diversity.overlap))
    ):
        _matrix(pen, matrix, title, left + index * (side + GAP))
    if diversity.gains:
        title = f"{diversity.ensembler}: gain in {diversity.metric}"
        _bars(pen, [gain.value for gain in diversity.gains], title, left + 2 * (side + GAP), bars)
    content = io.BytesIO()
    picture.save(content, "PNG")
    return content.getvalue()


def _matrix(pen: ImageDraw, matrix: np.ndarray, title: str, left: int) -> None:
    low = floor_of(matrix)
    pen.text((left, 5), title, INK)
    for row, values in enumerate(matrix.tolist()):
        pen.text((left + row * WIDE + WIDE // 2, HIGH + 5), str(row + 1), INK, anchor="ma")
        for column, value in enumerate(values):
            x, y = left + column * WIDE, (row + 2) * HIGH
            fill = heat_colour(value, low)
            pen.rectangle((x, y, x + WIDE - 2, y + HIGH - 2), fill)
            ink = INK if sum(fill) > 450 else PAPER
            pen.text((x + WIDE // 2, y + 5), f"{value:.2f}".lstrip("0"), ink, anchor="ma")


def _bars(pen: ImageDraw, gains: Sequence[float], title: str, left: int, width: int) -> None:
    most = max(abs(value) for value in gains) or 1.0
    pen.text((left, 5), title, INK)
    for row, value in enumerate(gains):
        y = (row + 2) * HIGH
        long = int(abs(value) / most * (width - 70))
        pen.rectangle((left, y + 3, left + long, y + HIGH - 6), GOOD if value > 0 else BAD)
        pen.text((left + long + 6, y + 5), f"{value:+.4f}", INK)
