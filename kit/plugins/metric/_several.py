"""Scores of rows that may have several labels: what a threshold says, and which classes have a curve."""

from __future__ import annotations

import numpy as np

from kit.errors import InvalidError


def one_against_rest(truth: np.ndarray, classes: int) -> np.ndarray:
    """Whether each row is of each class, bool (N, K), of class numbers (N,) or multi-hot truth (N, K)."""
    return truth.astype(bool) if truth.ndim == 2 else truth[:, None] == np.arange(classes)


def scored_classes(truth: np.ndarray, hot: np.ndarray, metric: str, need_others: bool) -> list[int]:
    """The classes whose rows have an order to score: those with rows, and where `need_others` rows of others too.

    Of two classes of class numbers only the second, as the first says the same. Raises InvalidError D45 for none.
    """
    some = np.asarray(hot.any(axis=0))
    if need_others:
        some &= ~hot.all(axis=0)
    binary = truth.ndim == 1 and hot.shape[1] == 2
    found = [number for number in ([1] if binary else range(hot.shape[1])) if some[number]]
    if not found:
        raise InvalidError(f"{metric} needs rows of two classes; all rows are of one", code="D45")
    return found
