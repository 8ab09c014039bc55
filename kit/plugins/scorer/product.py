"""Product: the product of the neighbours' and the classifier's probabilities."""

from __future__ import annotations

from itertools import product
from typing import ClassVar, Self

import numpy as np
from pydantic import Field

from kit.core.arrays import Targets
from kit.kinds import Metric, RetrievedNeighbours, Scorer
from kit.plugins.scorer._scores import best_by_class, best_of, normalise_rows, raise_to_power

COSINES, SHARES = (1.0, 3.0, 9.0, 27.0), (0.1, 0.3, 1.0, 3.0, 10.0)  # powers that are tried


class Product(Scorer):
    """cos^a * p^b of each class: its largest cosine among the k nearest images, the classifier's probability.

    The winners' powers were 9 and 10. If no neighbour's class has any probability, the row has the
    classifier's.

    Source: Henkel and Singer 2020, "Supporting large-scale image recognition with out-of-domain samples", winners of
    Google Landmark Recognition 2020: cos^9 * p^10 over the 5 nearest.
    """

    fitted: ClassVar[bool] = True
    takes_probabilities: ClassVar[bool] = True

    k: int = Field(5, ge=1, description="number of neighbours")
    cosine_power: float | None = Field(
        None, ge=0, le=1000, description="exponent a of the cosine; null: fitted"
    )
    probability_power: float | None = Field(
        None, ge=0, le=1000, description="exponent b of the classifier's probability; null: fitted"
    )
    metric: Metric | None = Field(None, description="metric to optimise; null: the competition's")

    def neighbours(self) -> int:
        return self.k

    def fit(self, near: RetrievedNeighbours, truth: Targets) -> Self:
        cosines = COSINES if self.cosine_power is None else (self.cosine_power,)
        shares = SHARES if self.probability_power is None else (self.probability_power,)
        candidates = (
            self.model_copy(update={"cosine_power": a, "probability_power": b})
            for a, b in product(cosines, shares)
        )
        return best_of(candidates, near, truth, self.metric)

    def score(self, near: RetrievedNeighbours) -> np.ndarray:
        seen, shares = near.top_k(self.k), classifier(near)
        cosine_power = 9.0 if self.cosine_power is None else self.cosine_power
        probability_power = 10.0 if self.probability_power is None else self.probability_power
        cosines = best_by_class(seen, raise_to_power(seen, cosine_power))
        scores = cosines * (shares / shares.max(axis=1, keepdims=True)) ** probability_power
        return normalise_rows(np.where(scores.sum(axis=1, keepdims=True) > 0, scores, shares))


def classifier(near: RetrievedNeighbours) -> np.ndarray:
    """Returns the classifier's probabilities (N, K), float64, which a scorer that takes them always receives."""
    assert near.probabilities is not None
    return near.probabilities.astype(np.float64)
