"""Scores of decisions: the most probable class of each row, or the labels that `decision` assigns."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from kit.core.arrays import Probabilities, Targets
from kit.kinds import Metric
from kit.kinds.metric_shortcuts import score_decisions

Weighted = Callable[[np.ndarray], float]  # of rows' weights (N,)


class DecisionMetric(Metric):
    """A metric of decisions only: its shortcuts score one label per row, `weigh_labels` several."""

    def of_confusion(self, counts: np.ndarray) -> float:
        """Returns the score of a confusion matrix (K, K) with one row per true class; counts or weights."""
        raise NotImplementedError

    def weigh_labels(self, true: np.ndarray, predicted: np.ndarray) -> Weighted:
        """Returns a function from weights (N,) to the score of true and predicted labels, bool (N, K)."""
        raise NotImplementedError

    def score(self, truth: Targets, probabilities: Probabilities) -> float:
        if truth.ndim == 2:
            return self.score_by_weights(truth, probabilities)(np.ones(len(truth)))
        return score_decisions(self, truth, probabilities.argmax(axis=1), probabilities.shape[1])

    def score_by_weights(self, truth: Targets, probabilities: Probabilities) -> Weighted:
        if truth.ndim == 2:
            return self.weigh_labels(truth.astype(bool), self.decision.assign_labels(probabilities))
        predicted, classes = probabilities.argmax(axis=1), probabilities.shape[1]
        return lambda weights: score_decisions(self, truth, predicted, classes, weights)
