"""Cross-entropy against labels that give a share to all classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from kit.kinds import Loss

if TYPE_CHECKING:
    from torch import Tensor


class LabelSmoothing(Loss):
    """Cross-entropy whose target gives 1 - e + e/K to the true class and e/K to every other.

    rows = (1 - e) * -log p_true + e * mean over classes of -log p.

    Source: Szegedy et al. 2016, "Rethinking the Inception Architecture", section 7;
    torch.nn.functional.cross_entropy(label_smoothing=e).
    """

    label_kinds = ("class_index", "soft")

    smoothing: float = Field(
        0.1, ge=0, lt=1, description="smoothing e: the probability spread evenly over all classes"
    )

    def rows(self, outputs: Tensor, labels: Tensor) -> Tensor:
        from torch.nn import functional

        return functional.cross_entropy(outputs, labels, reduction="none", label_smoothing=self.smoothing)
