"""Rows of a table as images: finds the pixel columns, and the row of a key."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from pydantic import Field

from kit.core.locations import Part
from kit.data.pixel_columns import pixel_columns
from kit.errors import DataError
from kit.kinds import ReadRules
from kit.kinds.reader import Keys
from kit.plugins.reader._records import RecordReader, as_record, unknown_key

if TYPE_CHECKING:
    from kit.kinds.reader import Record


class TableReader(RecordReader):
    """Reads rows of tables."""

    keys: ClassVar[Keys] = "required"
    columns: tuple[str, ...] = Field(
        (),
        description="columns of the pixels: a name with * for numbers, such as pixel*, or a column per channel whose "
        "cells hold all pixels; by default the longest series of numbered columns",
    )
    size: tuple[int, int] | None = Field(
        None, description="height and width of an image; by default images are square"
    )

    def text_columns(self, names: Sequence[str]) -> list[str]:
        pixels = set(pixel_columns(names, self.columns))
        return [name for name in names if name not in pixels]

    def rows(self, file: Path) -> Rows:
        """Returns the opened table of a file."""
        raise NotImplementedError

    def find_keys(self, files: Sequence[Path], columns: Collection[str]) -> list[tuple[str, frozenset[str]]]:
        opened = [self.rows(file) for file in files]
        if not opened[0].pixels:
            return []
        keys_by_column = []
        for name in opened[0].names:
            if name in columns and name not in opened[0].pixels:
                cells = [cell for rows in opened for cell in rows.column(name)]
                if len(keys := frozenset(cells)) == len(cells):
                    keys_by_column.append((f"{name}/", keys))
        return keys_by_column

    def only_row(self, file: Path) -> str:
        """Returns the key of a file's only row. Raises DataError D02 for a file of several rows."""
        if (count := len(self.rows(file))) == 1:
            return "0"
        raise DataError(f"has {count:,} records, and data.images names none behind ::", code="D02")

    def load(self, file: Path, key: str) -> Record:
        rows, number = self.find(file, key)
        return rows.record(number)

    def find(self, file: Path, key: str) -> tuple[Rows, int]:
        """Returns the table that has a row, and the row's number. Raises DataError D02 if no table has the key."""
        files = [Path(path) for path in Part(str(file)).files()] or [file]
        column, slash, value = key.partition("/")
        total = 0
        for path in files:
            rows = self.rows(path)
            number = int(key) - total if key.isdecimal() else None
            row = rows.index(column).get(value) if slash else number
            if row is not None and 0 <= row < len(rows):
                return rows, row
            total += len(rows)
        raise unknown_key(key, total, self._example(self.rows(files[0]), column if slash else ""))

    def _example(self, rows: Rows, column: str) -> str:
        """Returns a key of a table: a cell of the column, by default of the first one without pixels."""
        texts = [name for name in rows.names if name not in rows.pixels]
        name = column or next(iter(texts), "")
        first = next(iter(rows.index(name)), "") if name else ""
        return f"{name}/{first}" if first else "0" if len(rows) else ""

    def array(self, record: Record, rules: ReadRules) -> np.ndarray:
        values = super().array(record, rules)
        if values.ndim == 1:
            return self._reshape(values[:, None])
        if values.ndim == 3 and values.shape[1] == 1:  # flat channels
            return self._reshape(values[:, 0, :])
        return values

    def _reshape(self, values: np.ndarray) -> np.ndarray:
        """Returns pixels (count, channels) as (height, width, channels)."""
        count, channels = values.shape
        side = math.isqrt(count)
        height, width = self.size or (side, side)
        if height * width == count:
            return values.reshape(height, width, channels)
        if self.size and channels == 1 and count % (height * width) == 0:
            more = count // (height * width)
            return values.reshape((more, height, width) if self.axes == "chw" else (height, width, more))
        wanted = f"{height} x {width}" if self.size else "a square"
        raise DataError(f"has {count:,} pixels, which are not {wanted} (data.reader.size)", code="D15")


class Rows:
    """An opened table; `names` are its columns."""

    def __init__(self, names: Sequence[str], wanted: Sequence[str]) -> None:
        self.names = tuple(names)
        self.pixels = pixel_columns(names, wanted)
        self._indexes: dict[str, dict[str, int]] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        raise NotImplementedError

    def column(self, name: str) -> Sequence[str]:
        """Returns a column's cells as text."""
        raise NotImplementedError

    def cell(self, number: int, name: str) -> Any:
        """Returns a row's cell of a column, as the table holds it."""
        return self.column(name)[number]

    def record(self, number: int) -> Record:
        """Returns the record of a row."""
        raise NotImplementedError

    def index(self, name: str) -> Mapping[str, int]:
        """Returns the row of each cell of a column. Raises DataError D02 if the column does not exist."""
        if name not in self.names:
            raise DataError(f"no column {name!r}; the first are {', '.join(self.names[:5])}", code="D02")
        with self._lock:
            if name not in self._indexes:
                self._indexes[name] = {cell: row for row, cell in enumerate(self.column(name))}
        return self._indexes[name]


def cell_values(cell: Any) -> np.ndarray:
    """Returns the numbers of a cell: a list, JSON, or numbers between blanks or commas. Raises DataError D05."""
    try:
        if isinstance(cell, str):
            text = cell.strip()
            if text.startswith("["):
                return np.asarray(json.loads(text))
            return np.array(text.replace(",", " ").split(), np.float64)
        return np.asarray(cell)
    except (ValueError, RecursionError) as error:
        raise DataError(f"a cell holds no numbers: {str(error).splitlines()[0][:100]}", code="D05") from None


def record_of_cells(cells: Sequence[Any]) -> Record:
    """Returns the record of a row's cells, one per channel: an encoded image, or an array.

    Flat pixels of several channels are (count, 1, channels).
    """
    if len(cells) == 1:
        content = cells[0].get("bytes") if isinstance(cells[0], Mapping) else cells[0]
        if isinstance(content, bytes):
            return content
        return as_record(_small(cell_values(content)))
    values = [cell_values(cell) for cell in cells]
    if len({value.shape for value in values}) > 1:
        raise DataError("the row's columns hold unlike numbers of pixels", code="D15")
    flat = [value[:, None] if value.ndim == 1 else value for value in values]
    return _small(np.stack(flat, axis=-1))


def _small(values: np.ndarray) -> np.ndarray:
    """Returns whole numbers of 0 to 255 as bytes, because pixels in a text have no type."""
    if values.dtype.kind not in "iuf" or not values.size:
        return values
    if values.min() >= 0 and values.max() <= 255 and (values == np.floor(values)).all():
        return values.astype(np.uint8)
    return values
