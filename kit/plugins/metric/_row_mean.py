"""The base of metrics that are a mean over rows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from kit.core.arrays import Probabilities, Targets
from kit.kinds import Metric


class RowMean(Metric):
    """The mean over rows of `by_row`."""

    def by_row(self, truth: Targets, probabilities: Probabilities) -> np.ndarray:
        """Returns the score of each row, (N,)."""
        raise NotImplementedError

    def score(self, truth: Targets, probabilities: Probabilities) -> float:
        return float(self.by_row(truth, probabilities).mean())

    def score_by_weights(self, truth: Targets, probabilities: Probabilities) -> Callable[[np.ndarray], float]:
        by_row = self.by_row(truth, probabilities)
        return lambda weights: float(np.average(by_row, weights=weights))
