"""Any loss with a larger weight for rare classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from kit.kinds import Loss, bound_field
from kit.plugins.loss._device_tensors import device_tensor
from kit.plugins.loss.cross_entropy import CrossEntropy

if TYPE_CHECKING:
    from torch import Tensor


class ClassWeighted(Loss):
    """Each row's loss times its class's weight, count^-power, scaled to a mean of 1 over the training rows.

    The batch's loss is sum(weight * loss) / N. torch's weighted mean divides by the batch's sum of weights
    instead, and so would undo them in a batch of one class.

    A soft row has the mean weight of its classes.

    Source: King & Zeng 2001, "Logistic Regression in Rare Events Data", section 4 (weighting);
    power 1 is scikit-learn's class_weight="balanced".
    """

    label_kinds = ("class_index", "soft")

    base: Loss = Field(CrossEntropy(), description="loss that is weighted")
    power: float = Field(
        1.0,
        ge=0,
        le=2,
        description="exponent of 1 / class frequency: 0 = equal row weights, 1 = equal class sums",
    )
    counts: tuple[int, ...] = bound_field()

    def weights(self) -> list[float]:
        """Returns the weight of each class. A class without training rows weighs as one with a single row."""
        raw = [max(count, 1) ** -self.power for count in self.counts]
        mean = sum(weight * count for weight, count in zip(raw, self.counts, strict=True)) / max(
            sum(self.counts), 1
        )
        return [weight / mean for weight in raw]

    def rows(self, outputs: Tensor, labels: Tensor) -> Tensor:
        count = outputs.shape[1]
        weights = device_tensor(
            self, f"weights {count}", outputs.device, lambda: self.weights() or [1.0] * count
        )
        own = labels @ weights if labels.ndim == 2 else weights[labels]
        return own * self.base.rows(outputs, labels)
