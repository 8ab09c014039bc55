"""Joins tables to the rows by a key: labels, groups and other columns of another table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from kit.data.csv_file import CsvFile, read_table
from kit.data.image_paths import fill
from kit.data.rows import SourceRows
from kit.errors import Case, ConfigError, DataError, did_you_mean

if TYPE_CHECKING:
    from kit.config.models import Data, JoinedTable

Columns = Mapping[str, Sequence[str]]


def join_to_file(root: Path, data: Data, file: CsvFile, split: str) -> CsvFile:
    """Returns a table with the columns of the tables that `data.join` names for its rows.

    Raises ConfigError C07 for unknown columns, DataError D81 for missing or duplicate keys.
    """
    for join in data.join:
        if join.rows not in (split, "all"):
            continue
        columns = {name: file.column(name) for name in file.columns}
        table, matching_rows = _find(root, data, join, columns, str(file.path), split)
        more = _more_columns(table, join, columns, matching_rows)
        rows_to_keep = _places(join, matching_rows)
        cells = list(more.values())
        file = replace(
            file,
            columns=(*file.columns, *more),
            rows=tuple((*file.rows[row], *(column[row] for column in cells)) for row in rows_to_keep),
            lines=[file.lines[row] for row in rows_to_keep],
            begun={index: file.begun[row] for index, row in enumerate(rows_to_keep) if row in file.begun},
        )
    return file


def join_to_rows(root: Path, data: Data, rows: SourceRows, split: str) -> SourceRows:
    """Returns rows of folders with the columns of the tables that `data.join` names. Raises as `join_to_file` does."""
    for join in data.join:
        if join.rows not in (split, "all"):
            continue
        table, matching_rows = _find(root, data, join, rows.columns, "the image folder", split)
        rows_to_keep = _places(join, matching_rows)
        columns = {**rows.columns, **_more_columns(table, join, rows.columns, matching_rows)}
        rows = SourceRows(
            tuple(rows.ids[row] for row in rows_to_keep),
            tuple(rows.paths[row] for row in rows_to_keep),
            {name: [cells[row] for row in rows_to_keep] for name, cells in columns.items()},
        )
    return rows


def _find(
    root: Path, data: Data, join: JoinedTable, columns: Columns, whose: str, split: str
) -> tuple[CsvFile, list[int | None]]:
    """Returns the joined table, and its row for each row's key."""
    table = read_table(root, data, join.table)
    key = join.key or join.on
    if key not in table.columns:
        raise ConfigError(
            f"data.join: {join.table} has no column {key!r}{did_you_mean(key, table.columns)}",
            code="C07",
            hint=f"its columns: {', '.join(table.columns)}; data.join's key names the column with the keys",
        )
    keys = table.column(key)
    if len(set(keys)) < len(keys):
        double = [name for name, times in Counter(keys).items() if times > 1]
        cases = [Case(f"{key} {name!r} is on several rows", join.table, code="D81") for name in double[:50]]
        raise DataError(
            f"data.join: {len(double)} key{'s' * (len(double) > 1)} on several rows of {join.table}",
            code="D81",
            cases=cases,
            hint="a joined table has each key once; if its rows are the images, give it as data.train",
        )
    at = {name: row for row, name in enumerate(keys)}
    wanted = fill(join.on, columns, "data.join")
    matching_rows = [at.get(name) for name in wanted]
    missing = [name for name, row in zip(wanted, matching_rows, strict=True) if row is None]
    if missing and (join.on_missing == "stop" or len(missing) == len(wanted)):
        raise _without_rows(join, key, list(dict.fromkeys(missing)), len(missing), len(wanted), whose, split)
    return table, matching_rows


def _without_rows(
    join: JoinedTable, key: str, missing: Sequence[str], count: int, rows: int, whose: str, split: str
) -> DataError:
    every = count == rows
    return DataError(
        f"data.join: {'all' if every else count} of {rows} {split} rows of {whose} have a {join.on!r} that "
        f"{join.table} lacks in its column {key!r}",
        code="D81",
        cases=[Case(f"no row with {key} {name!r}", join.table, split=split, code="D81") for name in missing],
        hint="compare the two columns: they may differ in endings or leading zeros"
        if every
        else "add the rows, or set on_missing of data.join to skip (leave out these rows) or blank",
    )


def _places(join: JoinedTable, matching_rows: Sequence[int | None]) -> list[int]:
    """Returns the positions of the rows that stay."""
    return [index for index, row in enumerate(matching_rows) if row is not None or join.on_missing != "skip"]


def _more_columns(
    table: CsvFile, join: JoinedTable, columns: Columns, matching_rows: Sequence[int | None]
) -> dict[str, list[str]]:
    """Returns the joined table's columns without its key.

    A column that the rows have with other cells is prefixed by the table.
    """
    more: dict[str, list[str]] = {}
    for name in table.columns:
        cells = table.column(name)
        joined_cells = ["" if row is None else cells[row] for row in matching_rows]
        if name == (join.key or join.on) and (name == join.on or name not in columns):
            continue
        if name in columns and list(columns[name]) != joined_cells:
            name = f"{table.path.stem}.{name}"
        if name not in columns:
            more[name] = joined_cells
    return more
