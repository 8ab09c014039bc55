"""Balanced accuracy: the mean over classes of the share of rows that are found."""

from __future__ import annotations

import numpy as np

from kit.plugins.metric._decisions import DecisionMetric


class BalancedAccuracy(DecisionMetric):
    """Mean recall of the classes that have rows. A constant prediction scores 1 / number of these classes.

    Classes without rows are left out, also if they are predicted.

    Source: sklearn.metrics.balanced_accuracy_score; ISIC 2019 and UBC-OCEAN.
    """

    limits = (0, 1)

    def of_confusion(self, counts: np.ndarray) -> float:
        return self.of_margins(counts.diagonal(), counts.sum(axis=0), counts.sum(axis=1))

    def of_margins(self, hits: np.ndarray, predicted: np.ndarray, true: np.ndarray) -> float:
        some = true > 0
        return min(float((hits[some] / true[some]).mean()), 1.0)
