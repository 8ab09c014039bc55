"""Accuracy: the share of rows that are predicted correctly."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

import numpy as np

from kit.core.arrays import Probabilities, Targets
from kit.kinds import Metric
from kit.kinds.metric_shortcuts import score_decisions


class Accuracy(Metric):
    """Share of rows whose most probable class is the true one. With several labels per row, all must be right.

    A row with several labels is correct if `decision` in config.json assigns exactly its labels (subset
    accuracy).

    Source: sklearn.metrics.accuracy_score.
    """

    label_kinds = ("class_index", "multi_hot")
    replaced_options: ClassVar[Mapping[str, str]] = {"threshold": "decision.threshold"}
    limits = (0, 1)

    def score(self, truth: Targets, probabilities: Probabilities) -> float:
        if truth.ndim == 2:
            return float(self._right(truth, probabilities).mean())
        return score_decisions(self, truth, probabilities.argmax(axis=1), probabilities.shape[1])

    def score_by_weights(self, truth: Targets, probabilities: Probabilities) -> Callable[[np.ndarray], float]:
        right = self._right(truth, probabilities)
        return lambda weights: float(np.average(right, weights=weights))

    def _right(self, truth: Targets, probabilities: Probabilities) -> np.ndarray:
        """Whether each row is predicted correctly, bool (N,)."""
        if truth.ndim == 1:
            return np.asarray(probabilities.argmax(axis=1) == truth)
        return np.asarray((self.decision.assign_labels(probabilities) == truth).all(axis=1))

    def of_confusion(self, counts: np.ndarray) -> float:
        return float(counts.trace() / counts.sum())

    def of_margins(self, hits: np.ndarray, predicted: np.ndarray, true: np.ndarray) -> float:
        return float(hits.sum() / true.sum())
