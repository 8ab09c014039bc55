"""Scores of curves, one class against the rest: the classes that have a curve, and their mean."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import numpy as np

from kit.core.arrays import Probabilities, Targets
from kit.errors import InvalidError
from kit.kinds import Metric

Weighted = Callable[[np.ndarray], float]  # of rows' weights (N,)


class MeanOverClasses(Metric):
    """The mean over classes of `curve`'s number, which is NaN if the weighted rows have no curve."""

    label_kinds = ("class_index", "multi_hot")
    limits = (0, 1)
    error_name: ClassVar[str]  # its name in errors
    undrawn: ClassVar[str]  # the error if no class of the drawn rows has a curve
    need_others: ClassVar[bool]  # whether a class that all rows have has no curve

    def curve(self, positive: np.ndarray, shares: np.ndarray) -> Weighted:
        """Returns one class's number, for whether rows are of it (N,) and its probabilities (N,)."""
        raise NotImplementedError

    def score(self, truth: Targets, probabilities: Probabilities) -> float:
        return self.score_by_weights(truth, probabilities)(np.ones(len(truth)))

    def score_by_weights(self, truth: Targets, probabilities: Probabilities) -> Weighted:
        hot = one_against_rest(truth, probabilities.shape[1])
        scored = find_scored_classes(truth, hot, self.error_name, self.need_others)
        curves = [self.curve(hot[:, k], probabilities[:, k]) for k in scored]

        def score(weights: np.ndarray) -> float:
            scores = np.array([curve(weights) for curve in curves])
            if np.isnan(scores).all():
                raise InvalidError(f"{self.error_name} needs {self.undrawn}", code="D45")
            return float(np.nanmean(scores))

        return score


def one_against_rest(truth: Targets, classes: int) -> np.ndarray:
    """Returns whether each row is of each class, bool (N, K), for class numbers (N,) or multi-hot truth (N, K)."""
    return truth.astype(bool) if truth.ndim == 2 else truth[:, None] == np.arange(classes)


def find_scored_classes(truth: Targets, hot: np.ndarray, metric: str, need_others: bool) -> list[int]:
    """Returns the classes that can be scored: those with rows, and with `need_others` also with rows of others.

    Of two classes of class numbers it returns only the second, because the first gives the same score. Raises
    InvalidError D45 if no class is left.
    """
    some = np.asarray(hot.any(axis=0))
    if need_others:
        some &= ~hot.all(axis=0)
    binary = truth.ndim == 1 and hot.shape[1] == 2
    scored = [number for number in ([1] if binary else range(hot.shape[1])) if some[number]]
    if not scored:
        raise InvalidError(f"{metric} needs rows of two classes; all rows are of one", code="D45")
    return scored
