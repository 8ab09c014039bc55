"""Balanced accuracy: the mean over classes of the share of rows that are found."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from kit.core.arrays import Probabilities, Targets
from kit.kinds import Metric
from kit.kinds.metric_shortcuts import score_decisions


class BalancedAccuracy(Metric):
    """Mean recall of the classes that have rows. A constant prediction scores 1 / number of these classes.

    Classes without rows are left out, also if they are predicted.

    Source: sklearn.metrics.balanced_accuracy_score; ISIC 2019 and UBC-OCEAN.
    """

    limits = (0, 1)

    def score(self, truth: Targets, probabilities: Probabilities) -> float:
        return score_decisions(self, truth, probabilities.argmax(axis=1), probabilities.shape[1])

    def score_by_weights(self, truth: Targets, probabilities: Probabilities) -> Callable[[np.ndarray], float]:
        said, classes = probabilities.argmax(axis=1), probabilities.shape[1]
        return lambda weights: score_decisions(self, truth, said, classes, weights)

    def of_confusion(self, counts: np.ndarray) -> float:
        return self.of_margins(counts.diagonal(), counts.sum(axis=0), counts.sum(axis=1))

    def of_margins(self, hits: np.ndarray, told: np.ndarray, true: np.ndarray) -> float:
        some = true > 0
        return min(float((hits[some] / true[some]).mean()), 1.0)
