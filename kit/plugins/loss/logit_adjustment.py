"""Logit adjustment: outputs learn what the classes' shares do not explain."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from kit.kinds import Loss, bound_field
from kit.plugins.loss._device_tensors import device_tensor
from kit.plugins.loss.cross_entropy import CrossEntropy

if TYPE_CHECKING:
    from torch import Tensor


class LogitAdjustment(Loss):
    """The base's loss of outputs + tau * log(share of the class); with tau 1 it is balanced softmax.

    The outputs without the offset predict, so rare classes win rows that cross-entropy gives to frequent
    ones. It suits macro F1 and balanced accuracy, and lowers accuracy.

    Source: Menon et al. 2021, "Long-tail learning via logit adjustment", equation 10; Ren et al. 2020, "Balanced
    Meta-Softmax for Long-Tailed Visual Recognition", equation 4.
    """

    label_kinds = ("class_index", "soft")

    base: Loss = Field(CrossEntropy(), description="the loss of the adjusted outputs")
    tau: float = Field(1.0, ge=0, le=5, description="strength of the adjustment; 0 is the base alone")
    counts: tuple[int, ...] = bound_field()

    def offsets(self, classes: int) -> list[float]:
        """Returns tau * log(share) of each class. A class without training rows counts as one with a single row."""
        import math

        counts = [max(count, 1) for count in self.counts or (1,) * classes]
        return [self.tau * math.log(count / sum(counts)) for count in counts]

    def rows(self, outputs: Tensor, labels: Tensor) -> Tensor:
        count = outputs.shape[1]
        offsets = device_tensor(self, f"offsets {count}", outputs.device, lambda: self.offsets(count))
        return self.base.rows(outputs + offsets, labels)
