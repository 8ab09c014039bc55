"""Max per class: how similar the most similar image of each class is."""

from __future__ import annotations

from typing import ClassVar, Self

import numpy as np
from pydantic import Field

from kit.kinds import Metric, Neighbours, Scorer
from kit.plugins.scorer._scores import POWERS, best_by_class, best_of, closed, powered


class MaxPerClass(Scorer):
    """The largest cos^power of each class among the k nearest images, brought to sum 1.

    It ranks classes by their best image: for ranked answers, and where classes have few and unlike images.

    Source: the maximum rule of Kittler et al. 1998, "On Combining Classifiers".
    """

    fitted: ClassVar[bool] = True

    k: int = Field(50, ge=1, description="how many neighbours are looked at")
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
        seen = near.first(self.k)
        return closed(best_by_class(seen, powered(seen, self.power or 1.0)))
