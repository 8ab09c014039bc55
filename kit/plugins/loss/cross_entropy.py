"""Cross-entropy: minus the log probability of the true class."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kit.kinds import Loss

if TYPE_CHECKING:
    from torch import Tensor


class CrossEntropy(Loss):
    """Minus the log of the true class's probability.

    Source: torch.nn.functional.cross_entropy, reduction "none".
    """

    label_kinds = ("class_index", "soft")

    def rows(self, outputs: Tensor, labels: Tensor) -> Tensor:
        from torch.nn import functional

        return functional.cross_entropy(outputs, labels, reduction="none")
