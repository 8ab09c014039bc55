"""Groups: rows that must share a fold, by `data.group`, and the columns that it may name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kit.core.legible import legible
from kit.data.csv_file import read_csv
from kit.data.image_paths import fill
from kit.data.rows import SourceRows
from kit.errors import Case, DataError

if TYPE_CHECKING:
    from kit.core.arrays import Ids

# data.group: groups that kit finds, by near-duplicates or by scenes, and the file with them
AUTO_GROUP_FILES = {"auto": "groups.csv", "scene": "scenes.csv"}


def read_groups(root: Path, rows: SourceRows, group: str) -> np.ndarray:
    """Returns the group of each training row by `data.group`. Raises ConfigError, DataError D30 and D62."""
    if group in AUTO_GROUP_FILES and group not in rows.columns:
        return _find_groups(root, group, rows.ids)
    hint = "give each of these rows its own group, such as its id"
    return fill_keys(rows, group, nameable_columns(rows), "group", group, "train", hint)


def _find_groups(root: Path, how: str, ids: Sequence[str]) -> np.ndarray:
    names = group_names(root / AUTO_GROUP_FILES[how])
    missing = [Case("has no group", id=row, split="train", code="D62") for row in ids if row not in names]
    if missing:
        raise DataError(
            f"{len(missing)} training rows are not in {AUTO_GROUP_FILES[how]}",
            code="D62",
            cases=missing,
            hint="kit check creates it again",
        )
    return np.array([names[row] for row in ids], dtype=str)


def group_names(path: Path) -> dict[str, str]:
    """Returns the group of each id in groups.csv or a table like it; empty if the file does not exist.

    Raises DataError if the file is damaged.
    """
    if not path.is_file():
        return {}
    file = read_csv(path, fixed="delete it; kit check creates it again")
    if tuple(file.columns) != ("id", "group"):
        raise DataError(
            f"{path.name} has the columns {', '.join(file.columns)}, not id, group",
            code="D62",
            hint="delete it; kit check creates it again",
        )
    return dict(zip(file.column("id"), file.column("group"), strict=True))


def derive_columns(ids: Sequence[str], paths: Sequence[Path]) -> dict[str, list[str]]:
    """Returns columns that data.group and data.answer may use in addition to the table's.

    `prefix` is the id up to its last `_`, `-`, `.` or `/`: `003_female` for `003_female_2`. `folder` is the
    image's.
    """
    prefixes = [re.sub(r"[_\-./][^_\-./]*$", "", name) for name in ids]
    return {"prefix": prefixes, "folder": [legible(path.parent.name) for path in paths]}


def nameable_columns(rows: SourceRows) -> dict[str, Sequence[str]]:
    """Returns the columns that data.group and data.answer may name."""
    return {"id": rows.ids, **derive_columns(rows.ids, rows.paths), **rows.columns}


def fill_keys(
    rows: SourceRows,
    pattern: str,
    columns: Mapping[str, Sequence[str]],
    noun: str,
    configured: str,
    split: str,
    hint: str,
) -> Ids:
    """Returns the group or the answer (`noun`) of each row by a pattern.

    `configured` is the value of data.group or data.answer.

    Raises ConfigError C07 if a column does not exist, DataError D30 for rows without one.
    """
    keys = _external_groups(rows, fill(pattern, columns, f"data.{noun}"))
    blank = [
        Case(f"no {noun}", "", row, split, "D30")
        for row, key in zip(rows.ids, keys, strict=True)
        if not key.strip()
    ]
    if blank:
        what = "training" if split == "train" else split
        raise DataError(
            f"{len(blank)} {what} rows have no {noun} (data.{noun} {configured!r})",
            code="D30",
            cases=blank,
            hint=hint,
        )
    return np.array(keys, dtype=str)


def _external_groups(rows: SourceRows, groups: Sequence[str]) -> list[str]:
    """Returns the groups. An external row without one is its own group, by its id."""
    if not rows.sources:
        return list(groups)
    grouped_rows = zip(groups, rows.ids, rows.sources, strict=True)
    return [
        group if group.strip() or not source else f"{source} {name}" for group, name, source in grouped_rows
    ]
