"""R2: the share of a batch's variance that predictions do not explain."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from kit.plugins.loss._numbers import NumbersLoss

if TYPE_CHECKING:
    from torch import Tensor

MIN_VARIANCE = 1e-6  # of a batch, in units of the training rows' variance


class UnexplainedVariance(NumbersLoss):
    """1 - R2 of a batch: the mean over columns of squared errors over the batch's own variance.

    It compares the rows of a batch, so batches are not split into micro-batches.

    Source: the R2 loss of the first place of PlantTraits 2024; sklearn.metrics.r2_score.
    """

    splittable: ClassVar[bool] = False

    def costs(self, outputs: Tensor, targets: Tensor) -> Tensor:
        variance = targets.var(dim=0, correction=0).clamp(min=MIN_VARIANCE)
        return (outputs - targets) ** 2 / variance
