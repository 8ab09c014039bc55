"""Mixture: a share of what the neighbours say, the rest of what the classifier says."""

from __future__ import annotations

from typing import ClassVar, Self

import numpy as np
from pydantic import Field

from kit.core.arrays import Targets
from kit.kinds import Metric, RetrievedNeighbours, Scorer
from kit.plugins.scorer._scores import best_of
from kit.plugins.scorer.power import Power
from kit.plugins.scorer.product import classifier

SHARES = tuple(number / 10 for number in range(11))  # of the neighbours, that are tried


class Mixture(Scorer):
    """share * (another scorer's probabilities) + (1 - share) * (the classifier's).

    Source: half and half won Happywhale 2022 (Whale and Dolphin Identification): .5 nearest neighbours + .5 logits.
    """

    fitted: ClassVar[bool] = True
    takes_probabilities: ClassVar[bool] = True

    base: Scorer = Field(Power(), description="which scorer's probabilities are mixed in")
    share: float | None = Field(
        0.5, ge=0, le=1, description="of the neighbours; fit finds it where it is null"
    )
    metric: Metric | None = Field(
        None, description="what is made best; where none is named, the competition's"
    )

    def neighbours(self) -> int:
        return self.base.neighbours()

    def fit(self, near: RetrievedNeighbours, truth: Targets) -> Self:
        fitted = self.model_copy(update={"base": self.base.fit(near, truth)})
        if self.share is not None:
            return fitted
        tried = (fitted.model_copy(update={"share": share}) for share in SHARES)
        return best_of(tried, near, truth, self.metric)

    def score(self, near: RetrievedNeighbours) -> np.ndarray:
        share = 0.5 if self.share is None else self.share
        mixed: np.ndarray = share * self.base.score(near) + (1 - share) * classifier(near)
        return mixed
