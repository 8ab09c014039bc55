"""Top-k accuracy: the share of rows whose true class is among the k most probable ones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from pydantic import Field

from kit.core.arrays import Probabilities, Targets
from kit.kinds import Metric
from kit.plugins.metric._top_k import true_ranks


class TopKAccuracy(Metric):
    """Share of rows whose true class is among the k most probable ones. Of equal ones the first class ranks first.

    With k of all classes or more, every row is right.

    Source: sklearn.metrics.top_k_accuracy_score, but for its order of equal probabilities; top-5 error of ImageNet is 1
    minus it.
    """

    limits = (0, 1)

    k: int = Field(5, ge=1, description="number of ranked classes")

    def score(self, truth: Targets, probabilities: Probabilities) -> float:
        return float((true_ranks(truth, probabilities) <= self.k).mean())

    def score_by_weights(self, truth: Targets, probabilities: Probabilities) -> Callable[[np.ndarray], float]:
        right = true_ranks(truth, probabilities) <= self.k
        return lambda weights: float(np.average(right, weights=weights))
