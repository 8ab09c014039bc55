"""Cells of a table with line breaks, which may contain swallowed rows."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kit.data.encodings import LINE_END, line_breaks
from kit.errors import Case, DataError, KitWarning

if TYPE_CHECKING:
    from kit.data.csv_file import CsvFile


@dataclass(frozen=True)
class MultiLineCell:
    """A cell with line breaks, by row and column, and the lines on which its quote opens and closes."""

    row: int
    place: int
    opens: int
    closes: int


def multi_line_cells(file: CsvFile) -> Iterator[MultiLineCell]:
    """Yields each cell with line breaks, in the order of the file."""
    for row, line in file.begun.items():
        for column, cell in enumerate(file.rows[row]):
            if breaks := line_breaks(cell):
                yield MultiLineCell(row, column, line, line + breaks)
                line += breaks


def check_multi_line_cells(file: CsvFile, sep: str, columns: Collection[str] | None = None) -> None:
    """Raises DataError (D73) for a cell with line breaks in one of `columns`, by default in any.

    In other columns it warns (W56) of cells whose every line has as many fields as a row.
    """
    cells = list(multi_line_cells(file))
    wrong = [
        Case(
            f"column {file.columns[cell.place]!r}: a quote opens on line {cell.opens} and closes on line {cell.closes}",
            str(file.path),
            code="D73",
        )
        for cell in cells
        if columns is None or file.columns[cell.place] in columns
    ]
    if wrong:
        raise DataError(
            f"{file.path} has {len(wrong)} cell{'s' * (len(wrong) > 1)} with line breaks in ids or "
            f"labels; {wrong[0].detail}",
            code="D73",
            cases=wrong,
            hint="remove the line breaks, or the two stray quotes that turn the rows between them into "
            "one cell",
        )
    swallowed = [cell for cell in cells if _looks_like_rows(file, sep, cell)]
    if swallowed:
        first, rows_lost = swallowed[0], sum(cell.closes - cell.opens for cell in swallowed)
        warnings.warn(
            KitWarning(
                f"W56 {file.path}: {rows_lost} row{'s' * (rows_lost > 1)} may be lost in cells that contain "
                f"several rows: in column {file.columns[first.place]!r} a quote opens on line "
                f"{first.opens} and closes on line {first.closes}"
            ),
            stacklevel=3,
        )


def _looks_like_rows(file: CsvFile, sep: str, cell: MultiLineCell) -> bool:
    """Whether each of a cell's lines has a row's number of separators."""
    cells = file.rows[cell.row]
    if sum(map(line_breaks, cells)) > cell.closes - cell.opens:
        return False  # another cell has line breaks too
    if f"{sep} " in cells[cell.place]:
        return False  # a sentence: cells of a table start without a blank
    last = len(cells) - 1
    counts = [part.count(sep) for part in LINE_END.split(cells[cell.place])]
    counts[0] += cell.place
    counts[-1] += last - cell.place
    return last > 0 and all(count == last for count in counts)
