"""Binary cross-entropy: each class is a separate question."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from kit.kinds import bound_field
from kit.plugins.loss._binary import Binary
from kit.plugins.loss._device_tensors import device_tensor

if TYPE_CHECKING:
    from torch import Tensor


class Bce(Binary):
    """Binary cross-entropy of each class's sigmoid, averaged or summed over the classes of a row.

    Smoothing e moves a multi-hot target to 1 - e/2 or e/2. The target of a class number, one class against
    the rest, becomes 1 - e + e/K or e/K. A class's yes has the weight (rows without it / rows with
    it)^balance.

    Source: torch.nn.functional.binary_cross_entropy_with_logits; for class numbers Wightman et al. 2021, "ResNet
    strikes back", section 4, as timm.loss.BinaryCrossEntropy.
    """

    smoothing: float = Field(0.0, ge=0, lt=1, description="smoothing e of the targets")
    balance: float = Field(
        0.0,
        ge=0,
        le=1,
        description="weight of positives: 0 = as negatives; 1 = all positives of a class as all its negatives",
    )
    counts: tuple[int, ...] = bound_field()
    total: int = bound_field(0)

    def weights(self) -> list[float]:
        """Returns the weight of a yes of each class. A class without training rows counts as one with a single row."""
        return [(max(self.total - count, 1) / max(count, 1)) ** self.balance for count in self.counts]

    def targets(self, outputs: Tensor, labels: Tensor) -> Tensor:
        low = self.smoothing / (2 if labels.ndim == 2 else outputs.shape[1])
        return super().targets(outputs, labels) * (1 - self.smoothing) + low

    def costs(self, outputs: Tensor, targets: Tensor) -> Tensor:
        from torch.nn import functional

        weights = None
        if self.balance and self.counts:
            weights = device_tensor(self, "weights", outputs.device, self.weights)
        return functional.binary_cross_entropy_with_logits(
            outputs, targets, pos_weight=weights, reduction="none"
        )
