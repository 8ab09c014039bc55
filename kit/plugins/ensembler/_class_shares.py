"""The base of ensemblers that compare the class shares of a base's blend with those of the labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
from pydantic import Field

from kit.kinds import Ensembler
from kit.kinds.plugin import bound_field
from kit.plugins.ensembler.mean import Mean

if TYPE_CHECKING:
    from kit.core.arrays import Probabilities, Targets


class ClassShares(Ensembler):
    """A base, and the share of each class among the labelled rows: the fitted rows, and those without predictions.

    A run of some folds predicts few rows out of fold. Their shares alone would not represent the training
    table.
    """

    fitted: ClassVar[bool] = True

    base: Ensembler = Field(Mean(), description="ensembler whose probabilities are corrected")
    shares: tuple[float, ...] = Field(
        (), description="fitted, do not set: share of each class in the training rows"
    )
    other_counts: tuple[int, ...] = (
        bound_field()
    )  # labels of the training rows without out-of-fold predictions

    def fit(self, members: Probabilities, truth: Targets) -> Self:
        counts = np.bincount(truth, minlength=members.shape[2]) + 1  # a class may have no row
        if len(self.other_counts) == len(counts):
            counts = counts + np.asarray(self.other_counts)
        shares = tuple((counts / counts.sum()).tolist())
        return self.model_copy(update={"base": self.base.fit(members, truth), "shares": shares})

    def find_used(self, count: int) -> tuple[int, ...]:
        return self.base.find_used(count)

    def restrict(self, places: Sequence[int]) -> Self:
        return self.model_copy(update={"base": self.base.restrict(places)})
