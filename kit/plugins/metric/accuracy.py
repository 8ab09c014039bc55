"""Accuracy: the share of rows whose most probable class is the true one."""

from __future__ import annotations

import numpy as np

from kit.kinds import Metric
from kit.shortcuts import confusion


class Accuracy(Metric):
    """Share of rows whose most probable class is the true one.

    Source: sklearn.metrics.accuracy_score.
    """

    def score(self, truth: np.ndarray, probabilities: np.ndarray) -> float:
        return self.of_confusion(confusion(truth, probabilities.argmax(axis=1), probabilities.shape[1]))

    def of_confusion(self, counts: np.ndarray) -> float:
        return float(counts.trace() / counts.sum())
