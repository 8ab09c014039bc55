"""Accuracy: the share of rows that are told right."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from pydantic import Field

from kit.kinds import Metric
from kit.shortcuts import decided


class Accuracy(Metric):
    """Share of rows whose most probable class is the true one; with several labels, of those where all are right.

    A row with several labels is told right where exactly its own reach the threshold (subset accuracy).

    Source: sklearn.metrics.accuracy_score.
    """

    label_kinds = ("numbers", "multi_hot")

    threshold: float = Field(
        0.5, ge=0, le=1, description="with several labels a row: probability from which one is given"
    )

    def score(self, truth: np.ndarray, probabilities: np.ndarray) -> float:
        if truth.ndim == 2:
            return float(self._right(truth, probabilities).mean())
        return decided(self, truth, probabilities.argmax(axis=1), probabilities.shape[1])

    def reweighted(self, truth: np.ndarray, probabilities: np.ndarray) -> Callable[[np.ndarray], float]:
        right = self._right(truth, probabilities)
        return lambda weights: float(np.average(right, weights=weights))

    def _right(self, truth: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
        """Whether each row is told right, bool (N,)."""
        if truth.ndim == 1:
            return np.asarray(probabilities.argmax(axis=1) == truth)
        return np.asarray(((probabilities >= self.threshold) == truth).all(axis=1))

    def of_confusion(self, counts: np.ndarray) -> float:
        return float(counts.trace() / counts.sum())

    def of_margins(self, hits: np.ndarray, told: np.ndarray, true: np.ndarray) -> float:
        return float(hits.sum() / true.sum())
