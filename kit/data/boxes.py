"""Boxes of rows: the part of each image to use, from columns, or from a detector's file."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from kit.core.locations import Box, parts_of
from kit.data.box_files import BoxFile, open_box_file, read_box
from kit.data.csv_file import unknown_column
from kit.errors import MAX_CASES, Case, ConfigError, DataError, KitWarning, did_you_mean

if TYPE_CHECKING:
    import numpy as np

    from kit.config.models import Data


class RowsWithImages(Protocol):
    """Rows with ids and locations, such as those of a table."""

    @property
    def ids(self) -> np.ndarray:
        """The ids."""

    @property
    def paths(self) -> Sequence[Path]:
        """The locations of the images."""


def find_boxes(
    root: Path, data: Data, columns: Mapping[str, Sequence[str]], ids: Sequence[str], files: Sequence[str]
) -> list[Box | None]:
    """Returns the box of each row, or None for a row without one, whose whole image is used.

    Raises ConfigError C07 if a column or file does not exist. Raises DataError D16 for invalid boxes, and for
    a file of boxes that names none of the rows.
    """
    names = data.box
    if len(names) == 4 or (len(names) == 1 and names[0] in columns):
        return _of_columns(names, columns, ids)
    if len(names) != 1:
        raise ConfigError(
            f"data.box has {len(names)} names",
            code="C07",
            hint="columns of x, y, width and height; one column; or a file of boxes",
        )
    path = root / names[0]
    if not path.exists():
        raise ConfigError(
            f"data.box: no column and no file {names[0]!r}{did_you_mean(names[0], columns)}",
            code="C07",
            hint=f"the columns are {', '.join(columns)}; a file of boxes would be {path}",
        )
    return _of_file(open_box_file(path), ids, files)


def names_without_row(root: Path, data: Data, tables: Sequence[RowsWithImages]) -> tuple[list[str], int]:
    """Returns the ids or files in the file of `data.box` that no row of the tables has, and the number of its names.

    Without such a file they are ([], 0). Raises DataError D16 for an invalid file.
    """
    path = root / data.box[0] if len(data.box) == 1 else None
    if path is None or not path.exists():
        return [], 0
    file = open_box_file(path)
    ids = [str(name) for table in tables for name in table.ids]
    files = [parts_of(location)[0].file for table in tables for location in table.paths]
    return file.unknown(ids, files), len(file.entries)


def _of_file(file: BoxFile, ids: Sequence[str], files: Sequence[str]) -> list[Box | None]:
    """Returns the boxes of a file. Warns (W85) of the rows that it does not name."""
    entries = file.find(ids, files)
    unnamed = [name for name, entry in zip(ids, entries, strict=True) if entry is None]
    if unnamed:
        examples = ", ".join(map(repr, unnamed[:MAX_CASES]))
        text = f"W85 {file.path} does not name {len(unnamed)} of {len(ids)} rows, which use the whole image: {examples}"
        warnings.warn(KitWarning(text), stacklevel=4)
    boxes = [None if entry is None else file.box(entry) for entry in entries]
    cells = [
        file.cells.get(entry.id, ()) if entry and file.cells else (box,)
        for entry, box in zip(entries, boxes, strict=True)
    ]
    return _check_boxes(boxes, cells, ids, str(file.path))


def _of_columns(
    names: Sequence[str], columns: Mapping[str, Sequence[str]], ids: Sequence[str]
) -> list[Box | None]:
    unknown = [name for name in names if name not in columns]
    if unknown:
        raise unknown_column(unknown[0], columns, "data.box")
    if len(names) == 4:
        rows = list(zip(*(columns[name] for name in names), strict=True))
    else:
        rows = [tuple(cell.strip(" []()").replace(",", " ").split()) for cell in columns[names[0]]]
    return _check_boxes([read_box(cells) for cells in rows], rows, ids, ", ".join(names))


def _check_boxes(
    boxes: list[Box | None], cells_of_boxes: Sequence[Any], ids: Sequence[str], where: str
) -> list[Box | None]:
    wrong = [
        Case(f"{' '.join(map(str, cells))!r} is no box of an area ({where})", id=name, code="D16")
        for box, cells, name in zip(boxes, cells_of_boxes, ids, strict=True)
        if box is not None
        and not (math.isfinite(box.x + box.y + box.width + box.height) and min(box.width, box.height) > 0)
    ]
    if wrong:
        raise DataError(
            f"{len(wrong)} rows have an invalid box (data.box)",
            code="D16",
            cases=wrong,
            hint="x, y, width and height in pixels, of an area; blank cells use the whole image",
        )
    return boxes
