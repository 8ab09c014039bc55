"""Grade regression: one number for grades, such as 2.3, as probabilities of the two nearest grades."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from kit.kinds import Loss, bound_field

if TYPE_CHECKING:
    from torch import Tensor


class GradeRegression(Loss):
    """The error of one number per row, in units of the grades' standard deviation among the training rows.

    2.3 becomes the probabilities 0.7 of grade 2 and 0.3 of grade 3, so that the expected grade is the number.
    Runs blend with those of classifiers, and `ensembler=cut_points` finds the borders of the grades.

    Source: regression with optimised cut points, first places of APTOS 2019 (smooth L1) and PANDA 2020.
    """

    ordered: ClassVar[bool] = True

    error: Literal["squared", "absolute", "smooth_l1"] = Field(
        "smooth_l1", description="cost of an error; smooth_l1 is squared up to one standard deviation"
    )
    counts: tuple[int, ...] = bound_field()

    def width(self, classes: int) -> int:
        return 1

    def is_per_class(self) -> bool:
        return False

    def rows(self, outputs: Tensor, labels: Tensor) -> Tensor:
        from torch.nn import functional

        mean, deviation = self._scale()
        targets = (labels.to(outputs.dtype) - mean) / deviation
        costs = {
            "squared": functional.mse_loss,
            "absolute": functional.l1_loss,
            "smooth_l1": functional.smooth_l1_loss,
        }
        return costs[self.error](outputs[:, 0], targets, reduction="none")

    def probabilities(self, outputs: Tensor) -> Tensor:
        import torch

        mean, deviation = self._scale()
        grades = torch.arange(len(self.counts), device=outputs.device)
        number = (outputs[:, :1] * deviation + mean).clamp(0, len(self.counts) - 1)
        return (1 - (number - grades).abs()).clamp(min=0)

    def _scale(self) -> tuple[float, float]:
        """Returns mean and standard deviation of the grades of the training rows."""
        total = max(sum(self.counts), 1)
        mean = sum(grade * count for grade, count in enumerate(self.counts)) / total
        variance = sum((grade - mean) ** 2 * count for grade, count in enumerate(self.counts)) / total
        return mean, math.sqrt(variance) or 1.0
