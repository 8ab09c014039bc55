"""Finds images that are the same file byte for byte, reading only files of equal size."""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kit.core.files import sha256
from kit.errors import KitWarning, format_cases

if TYPE_CHECKING:
    from kit.data.table import Table


def file_groups(paths: Sequence[Path]) -> np.ndarray:
    """A number for each path, int64 (paths,), equal where the files' bytes are equal.

    A file that is not there, or empty, is like no other.
    """
    by_size: dict[int, list[int]] = defaultdict(list)
    for row, path in enumerate(paths):
        if path.is_file() and (size := path.stat().st_size):
            by_size[size].append(row)
    numbers = np.arange(len(paths), dtype=np.int64)
    for rows in by_size.values():
        if len(rows) > 1:
            first: dict[str, int] = {}
            for row in rows:
                numbers[row] = first.setdefault(sha256(paths[row]), row)
    return numbers


def merge_groups(*keys: Sequence[Hashable] | np.ndarray) -> np.ndarray:
    """Groups of rows linked by an equal value under any key, directly or through others: int64 (rows,)."""
    links: list[tuple[int, int]] = []
    for values in keys:
        first: dict[Hashable, int] = {}
        links += ((row, first.setdefault(value, row)) for row, value in enumerate(values))
    return connected_components(len(keys[0]), links)


def connected_components(rows: int, pairs: Iterable[tuple[int, int]]) -> np.ndarray:
    """Rows linked by pairs, directly or through others, have one number, the lowest row's: int64 (rows,)."""
    parent = list(range(rows))

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = row = parent[parent[row]]
        return row

    for one, other in pairs:
        low, high = sorted((root(one), root(other)))
        parent[high] = low
    return np.array([root(row) for row in range(rows)], dtype=np.int64)


def _groups_of_several(numbers: np.ndarray) -> list[np.ndarray]:
    order = np.argsort(numbers, kind="stable")
    starts = np.flatnonzero(np.diff(numbers[order])) + 1
    return [rows for rows in np.split(order, starts) if len(rows) > 1]


def warn(table: Table, numbers: np.ndarray) -> None:
    """Warns of training images that are there twice (W01), and of those with two labels (W02)."""
    repeated = _groups_of_several(numbers)
    if not repeated:
        return
    count = sum(map(len, repeated))
    texts = [" = ".join(table.ids[rows]) for rows in repeated]
    _say(
        f"W01 {count} training images are byte-for-byte copies of {len(repeated)} files, and copies "
        "share folds",
        texts,
    )
    if table.labels is None:
        return
    conflicts = [rows for rows in repeated if len(np.unique(table.labels[rows], axis=0)) > 1]
    if conflicts:
        named = [
            " = ".join(
                f"{table.ids[row]} ({', '.join(table.label_names(row)) or 'no label'})" for row in rows
            )
            for rows in conflicts
        ]
        _say(f"W02 {len(conflicts)} images have conflicting labels", named)


def warn_train_test_overlap(train: Table, test: Table) -> None:
    """Warns (W01) of images that are in the training rows and in the test rows, byte for byte."""
    numbers = file_groups([*train.paths, *test.paths])
    split = len(train)
    shared = [rows for rows in _groups_of_several(numbers) if rows.min() < split <= rows.max()]
    if shared:
        ids = np.concatenate([train.ids, test.ids])
        _say(
            f"W01 {len(shared)} images are in both train and test", [" = ".join(ids[rows]) for rows in shared]
        )


def _say(summary: str, cases: Iterable[str]) -> None:
    warnings.warn(KitWarning("\n".join([summary, *format_cases(list(cases))])), stacklevel=3)
