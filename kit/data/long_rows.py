"""Long rows: tables with one row per id and class, in one cell such as `ID_7_any` or in one column each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from kit.data.csv_file import CsvFile
from kit.errors import MAX_CASES, Case, ConfigError, DataError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

    from kit.config.models import Data, LongTable

# the first separator by which every row is an id and a class decides; `__` goes before `_`, which it contains
SEPARATORS = ("__", "_", "-", "|", ":", "/", " ", ",", ";", ".")


@dataclass(frozen=True)
class LongRows:
    """The id and the class of each row, and the column that holds the value."""

    ids: list[str]
    classes: list[str]
    value: str


def read_long_rows(sample: pd.DataFrame, classes: Sequence[str], separator: str | None) -> LongRows | None:
    """Returns how a sample is one row per id and class; None if it is not, or has an id and class twice."""
    if len(sample) < 2 or sample.shape[1] < 2:
        return None
    known = set(classes)
    long_rows = _of_cells(sample, known, separator) if sample.shape[1] == 2 else _of_columns(sample, known)
    if long_rows is None or len(set(zip(long_rows.ids, long_rows.classes, strict=True))) < len(sample):
        return None
    return long_rows if len(set(long_rows.ids)) < len(sample) and all(long_rows.ids) else None


def _of_cells(sample: pd.DataFrame, known: Collection[str], separator: str | None) -> LongRows | None:
    """Returns ids and classes from the cells of the first column. Numbers as classes need a given separator."""
    cells, value = list(map(str, sample.iloc[:, 0])), str(sample.columns[1])
    if separator is None and all(name.isdigit() for name in known):
        return None
    for by in SEPARATORS if separator is None else (separator,):
        if split_cell(cells[0], known, by) is None:
            continue
        pairs = [split_cell(cell, known, by) for cell in cells]
        read = [pair for pair in pairs if pair is not None]
        if len(read) == len(pairs):
            return LongRows([name for name, _ in read], [label for _, label in read], value)
    return None


def split_cell(cell: str, known: Collection[str], separator: str) -> tuple[str, str] | None:
    """Returns the id and the class that a cell joins, by the longest class that ends it.

    It is None if no known class does.
    """
    at = cell.find(separator, 1)
    while at > 0:
        label = cell[at + len(separator) :]
        if label in known:
            return cell[:at], label
        at = cell.find(separator, at + 1)
    return None


def _of_columns(sample: pd.DataFrame, known: Collection[str]) -> LongRows | None:
    """Returns ids of the first column, classes of the only column with only classes, values of the only other one."""
    label_columns = [name for name in sample.columns[1:] if set(sample[name]) <= set(known)]
    rest = [str(name) for name in sample.columns[1:] if name not in label_columns]
    if len(label_columns) != 1 or len(rest) != 1:
        return None
    return LongRows(list(map(str, sample.iloc[:, 0])), list(sample[label_columns[0]]), rest[0])


def find_endings(cells: Sequence[str]) -> tuple[str, tuple[str, ...]] | None:
    """Returns the separator and the endings of cells that join each of several ids with each of several endings.

    The endings are in the order of their first occurrence. None if the cells are not of this form.
    """
    known = set(cells)
    if len(known) < len(cells) or len(cells) < 4:
        return None
    for separator in SEPARATORS:
        at = cells[0].rfind(separator)
        while at > 0:
            start = cells[0][: at + len(separator)]
            endings = tuple(cell[len(start) :] for cell in cells if cell.startswith(start))
            if 1 < len(endings) < len(cells) and len(cells) % len(endings) == 0 and all(endings):
                pairs = [split_cell(cell, set(endings), separator) for cell in cells]
                ids = {pair[0] for pair in pairs if pair is not None}
                if None not in pairs and len(ids) * len(endings) == len(cells):
                    return separator, endings
            at = cells[0].rfind(separator, 0, at)
    return None


def widen(file: CsvFile, data: Data, split: str) -> CsvFile:
    """Turns a table with one row per id and class into one with one row per id; others stay as they are.

    A training table gets one column per class, with its values. The values of a test table are not needed.
    Raises ConfigError C07 for missing columns or classes, DataError D88 for an id that lacks a class or has
    one twice.
    """
    long = data.long
    if not long.classes:
        return file
    pairs = _pairs(file, data, long)
    if split == "test" and pairs is None:
        return file
    if pairs is None and set(long.classes) <= set(file.columns):
        return file
    if pairs is None:
        what = (
            f"a column {long.class_column!r} with them"
            if long.class_column
            else f"them after {long.separator!r} in {data.id!r}"
        )
        raise ConfigError(
            f"data.long: {file.path.name} has no rows of the {len(long.classes)} classes: expected {what}",
            code="C07",
            hint=f"its columns: {', '.join(file.columns)}; 'data.long={{}}' for a table with a row for each id",
        )
    rows = _rows_by_id(file, pairs, long.classes, split)
    id_place = file.columns.index(data.id)
    left_out = {
        id_place,
        *(
            file.columns.index(name)
            for name in (long.class_column, long.value_column)
            if name in file.columns
        ),
    }
    columns_kept = [index for index in range(len(file.columns)) if index not in left_out]
    values = file.columns.index(long.value_column) if long.value_column in file.columns else None
    if values is None and split == "train":
        raise ConfigError(
            f"data.long.value_column: {file.path.name} has no column {long.value_column!r}"
            f"{did_you_mean(str(long.value_column), file.columns)}",
            code="C07",
            hint=f"its columns: {', '.join(file.columns)}",
        )
    wide_rows, lines = [], []
    for name, places in rows.items():
        first = file.rows[min(places)]
        cells = [] if values is None else [file.rows[index][values] for index in places]
        wide_rows.append((name, *(first[index] for index in columns_kept), *cells))
        lines.append(file.lines[min(places)])
    columns = (
        data.id,
        *(file.columns[index] for index in columns_kept),
        *(() if values is None else long.classes),
    )
    return replace(file, columns=columns, rows=tuple(wide_rows), lines=lines, begun={})


def _pairs(file: CsvFile, data: Data, long: LongTable) -> list[tuple[str, str]] | None:
    """Returns the id and the class of each row; None if a row has none of the classes."""
    if data.id not in file.columns or (
        long.class_column is not None and long.class_column not in file.columns
    ):
        return None
    ids, known = file.column(data.id), set(long.classes)
    if long.class_column is not None:
        names = file.column(long.class_column)
        ends = [name if name in known else None for name in names]
        pairs = [(row_id, end) for row_id, end in zip(ids, ends, strict=True) if end is not None]
    else:
        pairs = [pair for cell in ids if (pair := split_cell(cell, known, long.separator)) is not None]
    return pairs if len(pairs) == len(file) else None


def _rows_by_id(
    file: CsvFile, pairs: Sequence[tuple[str, str]], classes: Sequence[str], split: str
) -> dict[str, list[int]]:
    """Returns the rows of each id, in the order of the classes. Raises DataError D88."""
    rows: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for row, (name, label) in enumerate(pairs):
        rows[name][label].append(row)
    cases = []
    for name, of in rows.items():
        missing = [label for label in classes if label not in of]
        double = [label for label in classes if len(of.get(label, ())) > 1]
        if missing:
            cases.append(Case(f"has no row of {_list(missing)}", id=name, split=split, code="D88"))
        if double:
            cases.append(Case(f"has several rows of {_list(double)}", id=name, split=split, code="D88"))
    if cases:
        raise DataError(
            f"{file.path}: {len(cases)} ids have not one row for each of the {len(classes)} classes",
            code="D88",
            cases=cases,
            hint="add the rows or remove them: data.long.classes lists the classes of an id",
        )
    return {name: [of[label][0] for label in classes] for name, of in rows.items()}


def _list(names: Sequence[str]) -> str:
    return ", ".join(names[:MAX_CASES]) + (", …" if len(names) > MAX_CASES else "")
