"""Iterative stratification: units with several labels dealt out, those of the rarest label first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from kit.data.table import Table


def assign_iteratively(
    counts: np.ndarray, sizes: np.ndarray, shares: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """The part that each unit goes to, (units,).

    `counts` (units, labels) says how many rows of each label a unit has, `sizes` (units,) how many in all, `shares`
    (parts,) how much each part is to have. The label with the fewest rows left is dealt first; each of its units, large
    ones before small ones, goes where that label is wanted most, then where rows are wanted most, then anywhere.
    """
    left, place = counts.sum(axis=0), np.full(len(counts), -1)
    wanted, room = shares[:, None] * left, shares * sizes.sum()
    while (left > 0).any():
        label = int(np.where(left > 0, left, left.max() + 1).argmin())
        units = np.flatnonzero((place < 0) & (counts[:, label] > 0))
        for unit in _large_first(units, counts[units, label], rng):
            part = _most(wanted[:, label], room, rng)
            place[unit] = part
            wanted[part] -= counts[unit]
            room[part] -= sizes[unit]
            left = left - counts[unit]
    unlabelled = np.flatnonzero(place < 0)
    for unit in _large_first(unlabelled, sizes[unlabelled], rng):
        place[unit] = _most(room, room, rng)
        room[place[unit]] -= sizes[unit]
    return place


def _large_first(units: np.ndarray, size: np.ndarray, rng: np.random.Generator) -> list[int]:
    return [int(unit) for unit in units[np.lexsort((rng.random(len(units)), -size))]]


def _most(wanted: np.ndarray, room: np.ndarray, rng: np.random.Generator) -> int:
    """The part where most is wanted, among equals that with most room, among those one at random."""
    best = np.flatnonzero(wanted >= wanted.max() - 1e-9)
    best = best[room[best] >= room[best].max() - 1e-9]
    return int(best[0] if len(best) == 1 else rng.choice(best))


def clusters(table: Table, folds: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Groups, or else rows: how many rows of each label (units, labels) and in all (units,) each has; each row's unit.

    Numbers have labels for their ranges, of which each has a row for every one of `folds`.
    """
    names = np.arange(len(table)) if table.groups is None else table.groups
    _, unit, sizes = np.unique(names, return_inverse=True, return_counts=True)
    hot = table.target.marks(table.targets(), len(table.classes), folds)
    counts = np.zeros((len(sizes), hot.shape[1]), dtype=np.int64)
    np.add.at(counts, unit, hot)
    return counts, sizes, unit
