"""Accuracy: the share of rows whose most probable class is the true one."""

from __future__ import annotations

import numpy as np

from kit.kinds import Metric


class Accuracy(Metric):
    """Share of rows whose most probable class is the true one.

    Source: sklearn.metrics.accuracy_score.
    """

    def score(self, truth: np.ndarray, probabilities: np.ndarray) -> float:
        from sklearn.metrics import accuracy_score

        return float(accuracy_score(truth, probabilities.argmax(axis=1)))
