"""Reads the competition's tables as config.json describes them: CSVs in their own dialects, and JSONs."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from kit.data.csv_file import CsvFile, read_csv
from kit.data.json_tables import is_json, read_json_table
from kit.data.rows import check_multi_line_cells

if TYPE_CHECKING:
    from kit.config.models import Data


def read_table(root: Path, data: Data, name: str) -> CsvFile:
    """The cells of a table that `data` names, by its path relative to the workspace.

    Raises DataError as `read_csv` and `read_json_table` do.
    """
    if is_json(name):
        return read_json_table(root / name)
    sep, encoding = format_of(data, name)
    return read_csv(root / name, sep, encoding)


def format_of(data: Data, name: str) -> tuple[str, str]:
    """The separator and the encoding of a table, by `data.tables` or else by those of all tables."""
    own = next((made for key, made in data.tables.items() if _is_same(key, name)), None)
    if own is None:
        return data.sep, data.encoding
    return own.sep or data.sep, own.encoding or data.encoding


def _is_same(one: str, other: str) -> bool:
    return os.path.normpath(one) == os.path.normpath(other)


def read_rows(root: Path, data: Data, name: str, columns: Collection[str] | None) -> CsvFile:
    """A table whose cells of `columns`, by default all, may hold no line breaks. Raises as `read_table` does."""
    file = read_table(root, data, name)
    if file.begun:
        wanted = None if columns is None else {*columns, file.columns[0]}
        check_multi_line_cells(file, format_of(data, name)[0], wanted)
    return file


def read_class_list(root: Path, data: Data, wanted: Collection[str] = ()) -> CsvFile:
    """The table `data.class_list`, the classes in its first column. Raises as `read_table` does.

    Of a JSON's categories the column that `data.label` names comes first.
    """
    name = str(data.class_list)
    file = read_rows(root, data, name, wanted)
    if not is_json(name) or data.label not in file.columns:
        return file
    at = file.columns.index(data.label)
    rows = tuple((row[at], *row[:at], *row[at + 1 :]) for row in file.rows)
    columns = (file.columns[at], *file.columns[:at], *file.columns[at + 1 :])
    return CsvFile(file.path, columns, rows, file.lines)
