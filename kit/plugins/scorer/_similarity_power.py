"""The base of scorers that raise cosines to a power, which is fitted on out-of-fold rows by default."""

from __future__ import annotations

from typing import ClassVar, Self

import numpy as np
from pydantic import Field

from kit.core.arrays import Targets
from kit.kinds import Metric, RetrievedNeighbours, Scorer
from kit.plugins.scorer._scores import POWERS, best_of, normalise_rows


class PowerWeighted(Scorer):
    """Scores of classes from cos^power of the k nearest images, scaled to sum 1."""

    fitted: ClassVar[bool] = True

    k: int = Field(10, ge=1, description="number of neighbours")
    power: float | None = Field(None, gt=0, le=1000, description="exponent of the cosine; null: fitted")
    metric: Metric | None = Field(None, description="metric to optimise; null: the competition's")

    def neighbours(self) -> int:
        return self.k

    def fit(self, near: RetrievedNeighbours, truth: Targets) -> Self:
        if self.power is not None:
            return self
        candidates = (self.model_copy(update={"power": power}) for power in POWERS)
        return best_of(candidates, near, truth, self.metric)

    def by_class(self, near: RetrievedNeighbours, power: float) -> np.ndarray:
        """Returns scores (N, K) of 0 or more from the k nearest images."""
        raise NotImplementedError

    def score(self, near: RetrievedNeighbours) -> np.ndarray:
        return normalise_rows(self.by_class(near.top_k(self.k), self.power or 1.0))
