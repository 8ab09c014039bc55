"""Mixture: a weighted mean of the neighbours' and the classifier's probabilities."""

from __future__ import annotations

from typing import ClassVar, Self

import numpy as np
from pydantic import Field

from kit.core.arrays import Targets
from kit.kinds import Metric, RetrievedNeighbours, Scorer
from kit.plugins.scorer._scores import best_of
from kit.plugins.scorer.power import Power
from kit.plugins.scorer.product import classifier

WEIGHTS_TRIED = tuple(number / 10 for number in range(11))


class Mixture(Scorer):
    """w * (another scorer's probabilities) + (1 - w) * (the classifier's), w the `neighbour_weight`.

    Source: half and half won Happywhale 2022 (Whale and Dolphin Identification): .5 nearest neighbours + .5 logits.
    """

    fitted: ClassVar[bool] = True
    takes_probabilities: ClassVar[bool] = True

    base: Scorer = Field(Power(), description="scorer whose probabilities are mixed with the classifier's")
    neighbour_weight: float | None = Field(
        0.5, ge=0, le=1, description="weight of the neighbours' probabilities; null: fitted"
    )
    metric: Metric | None = Field(None, description="metric to optimise; null: the competition's")

    def neighbours(self) -> int:
        return self.base.neighbours()

    def fit(self, near: RetrievedNeighbours, truth: Targets) -> Self:
        fitted = self.model_copy(update={"base": self.base.fit(near, truth)})
        if self.neighbour_weight is not None:
            return fitted
        candidates = (fitted.model_copy(update={"neighbour_weight": weight}) for weight in WEIGHTS_TRIED)
        return best_of(candidates, near, truth, self.metric)

    def score(self, near: RetrievedNeighbours) -> np.ndarray:
        weight = 0.5 if self.neighbour_weight is None else self.neighbour_weight
        mixed: np.ndarray = weight * self.base.score(near) + (1 - weight) * classifier(near)
        return mixed
