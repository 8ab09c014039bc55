"""Macro F1: the mean over classes of the harmonic mean of precision and recall."""

from __future__ import annotations

import numpy as np

from kit.kinds import Metric
from kit.shortcuts import confusion


class MacroF1(Metric):
    """Mean F1 of the classes that occur in the truth or in the predictions; one never hit counts 0.

    Source: sklearn.metrics.f1_score, average "macro".
    """

    def score(self, truth: np.ndarray, probabilities: np.ndarray) -> float:
        return self.of_confusion(confusion(truth, probabilities.argmax(axis=1), probabilities.shape[1]))

    def of_confusion(self, counts: np.ndarray) -> float:
        both = counts.sum(axis=0) + counts.sum(axis=1)  # told and true: 2 hits / both is F1
        occurs = both > 0
        return float((2 * counts.diagonal()[occurs] / both[occurs]).mean())
