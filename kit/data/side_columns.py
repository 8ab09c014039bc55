"""Side columns: the columns that both tables have besides the image, as numbers and categories for trees.

A category without training rows, and a blank cell, are missing values.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import pandas as pd

from kit.errors import MAX_CASES, Case, ConfigError, DataError, did_you_mean

if TYPE_CHECKING:
    from kit.data.table import Table

ColumnKind = Literal["number", "category", "angle", "latitude", "longitude", "date"]
KINDS: tuple[ColumnKind, ...] = get_args(ColumnKind)
BLANK = ("", "na", "nan", "none", "null", "<na>")
MAX_CATEGORIES = 200  # of a column; scikit-learn's trees take 255, and rarer values are joined
RARE = "(rare)"
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}([T ].*)?")
DAYS_PER_YEAR = 365.2425
MAX_DEGREES: Mapping[str, float] = {"latitude": 90, "longitude": 360}


def encode_columns(
    train: Table, test: Table, names: Sequence[str], kinds: Mapping[str, ColumnKind]
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, ColumnKind]]:
    """Returns the named columns of training and test rows, and the kind of each.

    Both frames have the same columns. A number becomes a column of float64, and a category one of pandas'
    categories of the training rows. An angle in degrees becomes its sine and cosine; a date becomes its day
    and the sine and cosine of the day in the year. A kind that `kinds` does not name is read from the
    training cells. Raises ConfigError C07 if a table lacks a column, DataError D31 for cells that are not of
    the column's kind.
    """
    encoded: tuple[dict[str, pd.Series], dict[str, pd.Series]] = ({}, {})
    kinds_of_columns: dict[str, ColumnKind] = {}
    for name in names:
        cells = [
            read_cells(table, name, split)
            for table, split in ((train, "train"), (test, "test"))
            if len(table)
        ]
        kind = kinds_of_columns[name] = kinds.get(name) or guess_kind(cells[0])
        if kind == "category":
            parts = _categories(name, cells)
        else:
            tables = (train, test)
            parts = [
                MADE_OF[kind](name, _numbers(tables[at], name, column, kind))
                for at, column in enumerate(cells)
            ]
        for frame, part in zip(encoded, parts, strict=False):
            frame |= part
    frames = [
        pd.DataFrame(columns, index=range(len(table)))
        for columns, table in zip(encoded, (train, test), strict=True)
    ]
    return frames[0], frames[1], kinds_of_columns


def guess_kind(cells: Sequence[str]) -> ColumnKind:
    """Returns the kind of a column by its non-blank cells: numbers, ISO dates, otherwise categories."""
    known = [cell for cell in cells if not is_blank(cell)]
    if known and np.isfinite(pd.to_numeric(pd.Series(known), errors="coerce")).all():
        return "number"
    return "date" if known and all(_DATE.fullmatch(cell.strip()) for cell in known) else "category"


def is_blank(cell: str) -> bool:
    """Whether a cell has no value, such as an empty one or NA."""
    return cell.strip().lower() in BLANK


def read_cells(table: Table, name: str, split: str) -> list[str]:
    """Returns the text of a column's cells. Raises ConfigError C07 if the table lacks the column."""
    if name not in table.frame.columns:
        names = [str(column) for column in table.frame.columns]
        raise ConfigError(
            f"data.columns: the {split} table has no column {name!r}{did_you_mean(name, names)}",
            code="C07",
            hint=f"its columns: {', '.join(names[:MAX_CASES]) or 'none; set data.test to a table with columns'}",
        )
    return [str(cell) for cell in table.frame[name].tolist()]


def _numbers(table: Table, name: str, cells: Sequence[str], kind: ColumnKind) -> np.ndarray:
    """Returns numbers, or days since 1970, NaN if the cell is blank."""
    blank = np.array([is_blank(cell) for cell in cells], bool)
    values = parse_numbers(cells, kind)
    bad = np.flatnonzero(~np.isfinite(values) & ~blank)
    if len(bad):
        raise DataError(
            f"column {name!r}: {len(bad)} cells are no {kind}",
            code="D31",
            cases=[Case(f"has {cells[row]!r}", id=str(table.ids[row])) for row in bad.tolist()],
            hint=f'data.column_kinds={{"{name}":"category"}}, or correct the cells',
        )
    return values


def parse_numbers(cells: Sequence[str], kind: ColumnKind) -> np.ndarray:
    """Returns numbers (N,) float64, or days since 1970.

    A cell is NaN if it is blank or neither, or a latitude beyond a pole.
    """
    texts = pd.Series([np.nan if is_blank(cell) else cell for cell in cells], dtype=object)
    if kind == "date":
        stamps = pd.to_datetime(texts, errors="coerce", format="ISO8601", utc=True)
        days = (stamps - pd.Timestamp("1970-01-01", tz="UTC")).dt.total_seconds().to_numpy(np.float64)
        return days / 86400
    values = pd.to_numeric(texts, errors="coerce").to_numpy(np.float64).copy()
    if kind in MAX_DEGREES:
        values[np.abs(values) > MAX_DEGREES[kind]] = np.nan
    return values


def _of_number(name: str, values: np.ndarray) -> dict[str, pd.Series]:
    return {name: pd.Series(values)}


def _of_angle(name: str, values: np.ndarray) -> dict[str, pd.Series]:
    turns = np.deg2rad(values)
    return {f"{name}|sin": pd.Series(np.sin(turns)), f"{name}|cos": pd.Series(np.cos(turns))}


def _of_date(name: str, values: np.ndarray) -> dict[str, pd.Series]:
    return {name: pd.Series(values), **_of_angle(name, 360 * values / DAYS_PER_YEAR)}


MADE_OF: Mapping[str, Callable[[str, np.ndarray], dict[str, pd.Series]]] = {
    "number": _of_number,
    "latitude": _of_number,
    "longitude": _of_number,
    "angle": _of_angle,
    "date": _of_date,
}


def _categories(name: str, cells: Sequence[Sequence[str]]) -> list[dict[str, pd.Series]]:
    """Returns categories of the training rows, the first of `cells`: the most frequent ones, and the others as one."""
    known = pd.Series([cell for cell in cells[0] if not is_blank(cell)], dtype=str)
    counts = known.value_counts()
    ordered = sorted(counts.index, key=lambda value: (-counts[value], value))
    often, rare = ordered[:MAX_CATEGORIES], set(ordered[MAX_CATEGORIES:])
    values = [*sorted(often), *([RARE] if rare else [])]
    code_of_value = {value: code for code, value in enumerate(values)} | dict.fromkeys(rare, len(values) - 1)
    dtype = pd.CategoricalDtype(values)
    return [
        {
            name: pd.Series(
                pd.Categorical.from_codes([code_of_value.get(cell, -1) for cell in column], dtype=dtype)
            )
        }
        for column in cells
    ]
