"""Macro F1: the mean over classes of the harmonic mean of precision and recall."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from pydantic import Field

from kit.kinds import Metric
from kit.shortcuts import decided


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
            return self.reweighted(truth, probabilities)(np.ones(len(truth)))
        return decided(self, truth, probabilities.argmax(axis=1), probabilities.shape[1])

    def of_confusion(self, counts: np.ndarray) -> float:
        return self.of_margins(counts.diagonal(), counts.sum(axis=0), counts.sum(axis=1))

    def of_margins(self, hits: np.ndarray, told: np.ndarray, true: np.ndarray) -> float:
        return _mean(hits, told + true)

    def reweighted(self, truth: np.ndarray, probabilities: np.ndarray) -> Callable[[np.ndarray], float]:
        places = np.arange(probabilities.shape[1])
        if truth.ndim == 2:
            true, said = truth.astype(bool), probabilities >= self.threshold
        else:
            true, said = truth[:, None] == places, probabilities.argmax(axis=1)[:, None] == places
        hits, both = (true & said).astype(np.float32), true.astype(np.float32) + said
        return lambda weights: _mean(weights @ hits, weights @ both)


def _mean(hits: np.ndarray, both: np.ndarray) -> float:
    """Mean of 2 hits / both, both = rows told and rows true, over the classes that have any; 1 where none has."""
    occurs = both > 0
    return float((2 * hits[occurs] / both[occurs]).mean()) if occurs.any() else 1.0
