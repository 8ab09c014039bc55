"""Draws pairs of held-out rows for training, half of them of one class, with hard ones among the rest."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

MAX_PAIRS_PER_FOLD = 20_000  # pairs of each kind per fold


def sample_pairs(
    labels: np.ndarray,
    shapes: Sequence[str],
    near: np.ndarray,
    rng: np.random.Generator,
    most: int = MAX_PAIRS_PER_FOLD,
) -> tuple[np.ndarray, np.ndarray]:
    """Returns pairs of rows (pairs, 2) int64, and whether each is of one class, bool (pairs,).

    There are as many pairs of one class as of several. Half of the latter are hard: of classes of one shape
    group (`shapes` names each class's), or else a row with the most similar one of another class (`near`
    (rows, k), the nearest first).
    """
    same = _of_one_class(labels, rng, most)
    hard = (
        _of_one_shape(labels, shapes, rng, len(same))
        if len(set(shapes)) < len(shapes)
        else np.empty((0, 2), int)
    )
    if not len(hard):
        hard = _alike(labels, near)
    hard = _some(hard, -(-len(same) // 2), rng)
    plain = _unlike(labels, rng, len(same) - len(hard))
    pairs = np.concatenate([same, hard, plain])
    return pairs, np.arange(len(pairs)) < len(same)


def _some(pairs: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Returns at most `count` of the pairs, drawn without replacement, in their order."""
    if len(pairs) <= count:
        return pairs
    return pairs[np.sort(rng.choice(len(pairs), count, replace=False))]


def _of_one_class(labels: np.ndarray, rng: np.random.Generator, most: int) -> np.ndarray:
    """Returns pairs of rows of one class: all of them, or `most` drawn with each class as often as it has pairs."""
    order = np.argsort(labels, kind="stable")
    counts = np.bincount(labels)
    counts = counts[counts > 1]
    rows = [part for part in np.split(order, np.cumsum(np.bincount(labels))[:-1]) if len(part) > 1]
    total = int((counts * (counts - 1) // 2).sum())
    if total <= most:
        return np.concatenate([_all(part) for part in rows]) if rows else np.empty((0, 2), int)
    chances = counts * (counts - 1) / (counts * (counts - 1)).sum()
    chosen = rng.choice(len(rows), 2 * most, p=chances)
    drawn = np.array([rng.choice(rows[part], 2, replace=False) for part in chosen])
    return _distinct(drawn)[:most]


def _all(rows: np.ndarray) -> np.ndarray:
    one, other = np.triu_indices(len(rows), 1)
    return np.stack([rows[one], rows[other]], axis=1)


def _distinct(pairs: np.ndarray) -> np.ndarray:
    """Returns each pair once, in either order of its rows, in the order in which they were drawn."""
    sorted_pairs = np.sort(pairs, axis=1)
    _, first = np.unique(sorted_pairs, axis=0, return_index=True)
    return sorted_pairs[np.sort(first)]


def _of_one_shape(
    labels: np.ndarray, shapes: Sequence[str], rng: np.random.Generator, count: int
) -> np.ndarray:
    """Returns pairs of rows of other classes of one superclass; a class alone in its superclass has none."""
    names = np.unique(np.asarray(shapes), return_inverse=True)[1]
    drawn = rng.integers(0, len(labels), (40 * max(count, 1), 2))
    one, other = labels[drawn[:, 0]], labels[drawn[:, 1]]
    return _distinct(drawn[(one != other) & (names[one] == names[other])])


def _alike(labels: np.ndarray, near: np.ndarray) -> np.ndarray:
    """Returns each row with the most similar one of another class."""
    other = labels[near] != labels[:, None]
    rows = np.flatnonzero(other.any(axis=1))
    return _distinct(np.stack([rows, near[rows, other[rows].argmax(axis=1)]], axis=1))


def _unlike(labels: np.ndarray, rng: np.random.Generator, count: int) -> np.ndarray:
    """Returns random pairs of rows of different classes."""
    drawn = rng.integers(0, len(labels), (4 * max(count, 1), 2))
    return _distinct(drawn[labels[drawn[:, 0]] != labels[drawn[:, 1]]])[:count]
