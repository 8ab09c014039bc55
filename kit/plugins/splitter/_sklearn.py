"""scikit-learn's splitters as kit's: fold numbers a row, and refusals in kit's words."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from kit.errors import DataError

if TYPE_CHECKING:
    from kit.table import Table


def fold_numbers(splitter: Any, table: Table) -> np.ndarray:
    """The fold that holds each row out, int64 (rows, 1), of a scikit-learn splitter that holds each out once."""
    numbers = np.full((len(table), 1), -1, dtype=np.int64)
    groups = table.groups if "Group" in type(splitter).__name__ else None
    with warnings.catch_warnings():
        # kit says itself which classes have fewer rows than folds
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        for fold, (_, held) in enumerate(splitter.split(np.zeros(len(table)), table.labels, groups)):
            numbers[held] = fold
    return numbers


def check_rows(table: Table, folds: int, stratified: bool = True) -> None:
    """Raises DataError D35 where there are fewer rows than folds, or every class has fewer."""
    largest = int(table.counts().max()) if stratified else len(table)
    if largest < folds:
        what = f"the largest class has {largest} rows" if stratified else f"there are {largest} rows"
        raise DataError(
            f"{what}, fewer than the {folds} folds", code="D35", hint=f"splitter.folds={max(largest, 2)}"
        )


def check_groups(table: Table, folds: int) -> None:
    """Raises DataError D33 where there are fewer groups than folds."""
    count = len(set(table.groups)) if table.groups is not None else 0
    if count < folds:
        raise DataError(
            f"{count} groups cannot make {folds} folds: a fold needs a group of its own",
            code="D33",
            hint=f"splitter.folds={max(count, 2)}, or another data.group",
        )


def random_state(rng: np.random.Generator) -> int:
    """A seed for scikit-learn."""
    return int(rng.integers(2**31))
