"""Macro F1: the mean over classes of the harmonic mean of precision and recall."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from kit.kinds import Metric
from kit.shortcuts import confusion


class MacroF1(Metric):
    """Mean F1 of the classes that occur in the truth or in the predictions; one never hit counts 0.

    A row is predicted to be of its most probable class; where it may have several, of those that reach the threshold.

    Source: sklearn.metrics.f1_score, average "macro".
    """

    label_kinds = ("numbers", "multi_hot")

    threshold: float = Field(
        0.5, ge=0, le=1, description="with several labels a row: probability from which one is given"
    )

    def score(self, truth: np.ndarray, probabilities: np.ndarray) -> float:
        if truth.ndim == 2:
            return _of_several(truth.astype(bool), probabilities >= self.threshold)
        return self.of_confusion(confusion(truth, probabilities.argmax(axis=1), probabilities.shape[1]))

    def of_confusion(self, counts: np.ndarray) -> float:
        both = counts.sum(axis=0) + counts.sum(axis=1)  # told and true: 2 hits / both is F1
        occurs = both > 0
        return float((2 * counts.diagonal()[occurs] / both[occurs]).mean())


def _of_several(truth: np.ndarray, said: np.ndarray) -> float:
    """Macro F1 of labels that rows have and are given, bool (N, K); 1 where no row has any nor is given one."""
    both = truth.sum(axis=0) + said.sum(axis=0)
    occurs = both > 0
    hits = (truth & said).sum(axis=0)
    return float((2 * hits[occurs] / both[occurs]).mean()) if occurs.any() else 1.0
