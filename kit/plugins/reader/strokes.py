"""Drawings: the strokes of a pen, in the cells of a table, drawn as an image."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import Field

from kit.errors import DataError
from kit.kinds import Decoded, ReadRules
from kit.plugins.reader._tables import Rows
from kit.plugins.reader.table import PixelTable

if TYPE_CHECKING:
    from kit.kinds.reader import Record

MAX_POINTS = 1_000_000
BRIGHT, FALL = 255, 204  # colour of the first stroke or point, and by how much that of the last is lower


class Strokes(PixelTable):
    """Drawings in the rows of a CSV or JSON file: cells of strokes such as `[[[0, 9], [5, 5]], ...]`, drawn in white.

    A stroke has the x and the y of its points, and may have their times. `train.csv::key_id/{id}` is the row
    with this cell in a column, `columns` names the column of strokes, and `size` is the image's height and
    width, by default 256. The drawing is scaled to fit. With `colour=time` red decreases from 255 to 51 with
    each stroke, green with each point of a stroke, and blue is the line.

    Source: Quick, Draw!'s format (github.com/googlecreativelab/quickdraw-dataset); the lines are Pillow's.
    """

    endings: ClassVar[tuple[str, ...]] = ()  # file endings of tables do not show that cells are strokes
    columns: tuple[str, ...] = Field(("drawing",), description="the column of strokes")
    line: int = Field(3, ge=1, le=255, description="width of the lines in pixels")
    colour: Literal["none", "time"] = Field(
        "none", description="time: show the order of strokes and of points in the red and the green channel"
    )

    def load(self, file: Path, key: str) -> Record:
        rows, number = self.find(file, key)
        cell = rows.cell(number, self._column(rows))
        return (cell if isinstance(cell, str) else json.dumps(cell)).encode()

    def decode(self, record: Record, rules: ReadRules) -> Decoded:
        height, width = self.size or (256, 256)
        if height * width > rules.max_pixels:
            raise DataError(f"size has more pixels than the limit {rules.max_pixels:,}", code="D10")
        strokes = read_strokes(record if isinstance(record, bytes) else record.tobytes())
        return Decoded(self._draw(_fit(strokes, height, width, self.line), height, width))

    def _column(self, rows: Rows) -> str:
        present = [name for name in self.columns if name in rows.names]
        if not present:
            raise DataError(
                f"no column {', '.join(self.columns)!r} of strokes: data.reader.columns names it, of "
                f"{', '.join(rows.names[:8])}",
                code="D15",
            )
        return present[0]

    def _draw(self, strokes: list[np.ndarray], height: int, width: int) -> np.ndarray:
        """Draws the strokes, arrays (points, 2) of pixels, as uint8 (height, width) or (height, width, 3)."""
        from PIL import Image, ImageDraw

        image = Image.new("RGB" if self.colour == "time" else "L", (width, height))
        pen, radius = ImageDraw.Draw(image), (self.line - 1) / 2
        for number, points in enumerate(strokes):
            places = [(float(x), float(y)) for x, y in np.rint(points)]
            for end in [*range(1, len(places))] or [0]:
                colour: tuple[int, ...] | int = BRIGHT
                if self.colour == "time":
                    order = BRIGHT - round(FALL * number / max(1, len(strokes) - 1))
                    brightness = BRIGHT - round(FALL * end / max(1, len(places) - 1))
                    colour = (order, brightness, BRIGHT)
                pair = places[max(0, end - 1)], places[end]
                pen.line(pair, colour, self.line)
                for x, y in pair:  # round ends
                    pen.ellipse((x - radius, y - radius, x + radius, y + radius), colour)
        return np.array(image)


def read_strokes(content: bytes) -> list[np.ndarray]:
    """Returns the strokes of a cell, each (points, 2) of x and y.

    Raises DataError D05 for other cells, D10 for too many points.
    """
    try:
        strokes = json.loads(content)
        arrays = [np.array([stroke[0], stroke[1]], np.float64).T for stroke in strokes]
    except (ValueError, TypeError, KeyError, IndexError, RecursionError, OverflowError) as error:
        text = str(error).splitlines()[0][:100] if str(error) else type(error).__name__
        raise DataError(f"a cell holds no strokes: {text}", code="D05") from None
    arrays = [array for array in arrays if len(array)]
    if not arrays:
        raise DataError("a cell holds no strokes", code="D05")
    if any(array.ndim != 2 or not np.isfinite(array).all() for array in arrays):
        raise DataError("a cell holds no strokes: places must be numbers", code="D05")
    if sum(map(len, arrays)) > MAX_POINTS:
        raise DataError(f"has more than {MAX_POINTS:,} points", code="D10")
    return arrays


def _fit(strokes: list[np.ndarray], height: int, width: int, line: int) -> list[np.ndarray]:
    """Scales the strokes so that the drawing's larger side fits the image without its margin, and centres them."""
    every = np.concatenate(strokes)
    low, high = every.min(axis=0), every.max(axis=0)
    free_size = np.maximum(np.array([width, height]) - 1 - 2 * line, 0)
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        scale = np.nanmin(free_size / np.maximum(high - low, 1e-9))
    middle = (np.array([width, height]) - 1) / 2
    return [(stroke - (low / 2 + high / 2)) * scale + middle for stroke in strokes]
