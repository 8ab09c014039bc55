"""Long rows: a sample with a row for each id and class, in one cell such as `ID_7_any` or in a column each."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import pandas as pd

# the first one by which every row is an id and a class decides; `__` goes before `_`, which it contains
SEPARATORS = ("__", "_", "-", "|", ":", "/", " ", ",", ";", ".")


@dataclass(frozen=True)
class LongRows:
    """Of each row its id and its class, and the column that holds the value."""

    ids: list[str]
    classes: list[str]
    value: str


def read_long_rows(sample: pd.DataFrame, classes: Sequence[str], separator: str | None) -> LongRows | None:
    """How a sample is a row for each id and class; None if it is not, or has an id and class twice."""
    if len(sample) < 2 or sample.shape[1] < 2:
        return None
    known = set(classes)
    found = _of_cells(sample, known, separator) if sample.shape[1] == 2 else _of_columns(sample, known)
    if found is None or len(set(zip(found.ids, found.classes, strict=True))) < len(sample):
        return None
    return found if len(set(found.ids)) < len(sample) and all(found.ids) else None


def _of_cells(sample: pd.DataFrame, known: Collection[str], separator: str | None) -> LongRows | None:
    """Ids and classes from the cells of the first column; numbers as classes need a separator that is asked for."""
    cells, value = list(map(str, sample.iloc[:, 0])), str(sample.columns[1])
    if separator is None and all(name.isdigit() for name in known):
        return None
    for tried in SEPARATORS if separator is None else (separator,):
        if split_cell(cells[0], known, tried) is None:
            continue
        pairs = [split_cell(cell, known, tried) for cell in cells]
        read = [pair for pair in pairs if pair is not None]
        if len(read) == len(pairs):
            return LongRows([name for name, _ in read], [label for _, label in read], value)
    return None


def split_cell(cell: str, known: Collection[str], separator: str) -> tuple[str, str] | None:
    """The id and the class that a cell joins, the longest class that ends it; None if no known class does."""
    place = cell.find(separator, 1)
    while place > 0:
        label = cell[place + len(separator) :]
        if label in known:
            return cell[:place], label
        place = cell.find(separator, place + 1)
    return None


def _of_columns(sample: pd.DataFrame, known: Collection[str]) -> LongRows | None:
    """Ids of the first column, classes of the only column that holds classes alone, values of the only other one."""
    named = [name for name in sample.columns[1:] if set(sample[name]) <= set(known)]
    rest = [str(name) for name in sample.columns[1:] if name not in named]
    if len(named) != 1 or len(rest) != 1:
        return None
    return LongRows(list(map(str, sample.iloc[:, 0])), list(sample[named[0]]), rest[0])
