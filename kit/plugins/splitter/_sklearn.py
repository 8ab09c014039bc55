"""scikit-learn's splitters as kit's: fold numbers per row, and errors in kit's words."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from kit.data.quantity import is_quantity, ranges
from kit.errors import DataError

if TYPE_CHECKING:
    from kit.data.table import Table


def fold_numbers(splitter: Any, table: Table, strata: np.ndarray | None = None) -> np.ndarray:
    """Returns the fold that holds each row out, int64 (rows, 1), by a scikit-learn splitter that holds each out once.

    `strata` (rows,) are the strata of a stratified splitter.
    """
    numbers = np.full((len(table), 1), -1, dtype=np.int64)
    groups = table.groups if "Group" in type(splitter).__name__ else None
    with warnings.catch_warnings():
        # kit itself reports the classes with fewer rows than folds
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        for fold, (_, held) in enumerate(splitter.split(np.zeros(len(table)), strata, groups)):
            numbers[held] = fold
    return numbers


def check_rows(table: Table, folds: int, stratified: bool = True, by_share: bool = False) -> None:
    """Raises DataError D35 if there are fewer rows than folds, or every class has fewer.

    With `by_share` the splitter has a share in place of a number of folds.
    """
    largest = int(table.counts().max()) if stratified else len(table)
    if largest >= folds:
        return
    if stratified and is_quantity(table):
        count = f"{len(table.classes):,} different numbers in {len(table):,} rows"
        raise DataError(
            f"the label has {count}, at most {largest} of each: it is a quantity, not classes",
            code="D35",
            hint=f"{ranges(table) or 'another data.label'}, which makes classes of ranges; or data.target=numbers, "
            "which predicts them as numbers",
        )
    what = f"the largest class has {largest} rows" if stratified else f"there are {largest} rows"
    if largest > 1:
        hint = _fewer(largest, by_share)
    elif stratified and len(table) > 1:
        hint = "is data.label the right column? splitter=all_rows trains on all rows without a score"
    else:
        hint = "more rows, or splitter=all_rows, which trains on all rows without a score"
    raise DataError(f"{what}, fewer than the {folds} folds", code="D35", hint=hint)


def check_groups(table: Table, folds: int, by_share: bool = False) -> None:
    """Raises DataError D33 if there are fewer groups than folds; `by_share` as in `check_rows`."""
    count = len(set(table.groups)) if table.groups is not None else 0
    if count < folds:
        hint = f"{_fewer(count, by_share)}, or another data.group" if count > 1 else "another data.group"
        raise DataError(
            f"{count} groups cannot make {folds} folds: a fold needs a group of its own",
            code="D33",
            hint=hint,
        )


def _fewer(most: int, by_share: bool) -> str:
    """Returns the override for at most this many folds."""
    return f"splitter.holdout_fraction={1 / most:.4g}" if by_share else f"splitter.folds={most}"


def random_state(rng: np.random.Generator) -> int:
    """Returns a seed for scikit-learn."""
    return int(rng.integers(2**31))
