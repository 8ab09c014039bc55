"""Power: near images count more than far ones, by a power of their cosine."""

from __future__ import annotations

from typing import ClassVar, Self

import numpy as np
from pydantic import Field

from kit.kinds import Metric, Neighbours, Scorer
from kit.plugins.scorer._scores import POWERS, best_of, by_class, closed, powered


class Power(Scorer):
    """The sum of cos^power over the k nearest images of a class, brought to sum 1.

    Source: Dudani 1976, "The Distance-Weighted k-Nearest-Neighbor Rule", with cos^power as the weight.
    """

    fitted: ClassVar[bool] = True

    k: int = Field(10, ge=1, description="how many neighbours count")
    power: float | None = Field(
        None, gt=0, le=1000, description="of the cosine; fit finds it where none is given"
    )
    metric: Metric | None = Field(
        None, description="what is made best; where none is named, the competition's"
    )

    def neighbours(self) -> int:
        return self.k

    def fit(self, near: Neighbours, truth: np.ndarray) -> Self:
        if self.power is not None:
            return self
        tried = (self.model_copy(update={"power": power}) for power in POWERS)
        return best_of(tried, near, truth, self.metric)

    def score(self, near: Neighbours) -> np.ndarray:
        votes = near.first(self.k)
        return closed(by_class(votes, powered(votes, self.power or 1.0)))
