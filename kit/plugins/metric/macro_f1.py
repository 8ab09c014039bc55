"""Macro F1: the mean over classes of the harmonic mean of precision and recall."""

from __future__ import annotations

import numpy as np

from kit.kinds import Metric


class MacroF1(Metric):
    """Mean F1 of the classes that occur in the truth or in the predictions; one never hit counts 0.

    Source: sklearn.metrics.f1_score, average "macro".
    """

    def score(self, truth: np.ndarray, probabilities: np.ndarray) -> float:
        from sklearn.metrics import f1_score

        return float(f1_score(truth, probabilities.argmax(axis=1), average="macro", zero_division=0))
