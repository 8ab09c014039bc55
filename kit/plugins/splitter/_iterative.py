"""Iterative stratification: assigns units with several labels, those of the rarest label first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from kit.data.table import Table


def assign_iteratively(
    counts: np.ndarray, sizes: np.ndarray, shares: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Returns the part of each unit, (units,).

    `counts` (units, labels) is each unit's number of rows of each label, `sizes` (units,) its number of rows,
    `shares` (parts,) the target share of each part.

    The label with the fewest rows left is assigned first. Each of its units, large ones before small ones,
    goes to the part that lacks that label most. Ties are broken by the part that lacks rows most, then at
    random.
    """
    left, fold_of_unit = counts.sum(axis=0), np.full(len(counts), -1)
    wanted, free = shares[:, None] * left, shares * sizes.sum()
    while (left > 0).any():
        label = int(np.where(left > 0, left, left.max() + 1).argmin())
        units = np.flatnonzero((fold_of_unit < 0) & (counts[:, label] > 0))
        for unit in _large_first(units, counts[units, label], rng):
            part = _most(wanted[:, label], free, rng)
            fold_of_unit[unit] = part
            wanted[part] -= counts[unit]
            free[part] -= sizes[unit]
            left = left - counts[unit]
    unlabelled = np.flatnonzero(fold_of_unit < 0)
    for unit in _large_first(unlabelled, sizes[unlabelled], rng):
        fold_of_unit[unit] = _most(free, free, rng)
        free[fold_of_unit[unit]] -= sizes[unit]
    return fold_of_unit


def _large_first(units: np.ndarray, size: np.ndarray, rng: np.random.Generator) -> list[int]:
    return [int(unit) for unit in units[np.lexsort((rng.random(len(units)), -size))]]


def _most(wanted: np.ndarray, free: np.ndarray, rng: np.random.Generator) -> int:
    """Returns the part that lacks most; among equals that with most room, among those a random one."""
    best = np.flatnonzero(wanted >= wanted.max() - 1e-9)
    best = best[free[best] >= free[best].max() - 1e-9]
    return int(best[0] if len(best) == 1 else rng.choice(best))


def clusters(table: Table, folds: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the units, which are groups or else rows: their rows of each label (units, labels), their sizes
    (units,), and each row's unit.

    Numbers have labels for their ranges, of which each has a row for every one of `folds`.
    """
    names = np.arange(len(table)) if table.groups is None else table.groups
    _, unit, sizes = np.unique(names, return_inverse=True, return_counts=True)
    hot = table.target.marks(table.targets(), len(table.classes), folds)
    counts = np.zeros((len(sizes), hot.shape[1]), dtype=np.int64)
    np.add.at(counts, unit, hot)
    return counts, sizes, unit
