"""Batching: positions in batches of nearly equal size."""

from __future__ import annotations

import math

import numpy as np


def even_batches(count: int, batch_size: int) -> list[np.ndarray]:
    """Returns positions 0 to count - 1 in batches whose sizes differ by at most one, and are at most `batch_size`.

    A last batch of one row would break batch norm, and a small one would give its rows a larger weight.
    """
    return np.array_split(np.arange(count), math.ceil(count / batch_size)) if count else []


def occurrence_index(order: np.ndarray) -> np.ndarray:
    """Returns how often each entry came before, (N,): 0 for the first occurrence of a row."""
    by_row = np.argsort(order, kind="stable")
    ordered = order[by_row]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    times = np.empty(len(order), np.int64)
    times[by_row] = np.arange(len(order)) - np.repeat(starts, np.diff(np.r_[starts, len(order)]))
    return times
