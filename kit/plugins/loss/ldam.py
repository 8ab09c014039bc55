"""LDAM: a cosine margin for the true class, larger for rare classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from kit.kinds import bound_field
from kit.plugins.loss._device_tensors import device_tensor
from kit.plugins.loss._margin import Margin

if TYPE_CHECKING:
    from torch import Tensor


class Ldam(Margin):
    """Subtracts the margin max_margin * (smallest count / count)^(1/4) from the true class's cosine.

    The deferred re-weighting of the paper is `class_weighted` around it in a late part of the run, by
    `stages`.

    Source: Cao et al. 2019, "Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss", equation 13.
    """

    max_margin: float = Field(0.5, ge=0, lt=2, description="margin of the rarest class's cosine")
    counts: tuple[int, ...] = bound_field()

    def margins(self, classes: int) -> list[float]:
        """Returns the margin of each class. A class without training rows counts as one with a single row."""
        counts = [max(count, 1) for count in self.counts or (1,) * classes]
        return [self.max_margin * (min(counts) / count) ** 0.25 for count in counts]

    def marginal(self, cosines: Tensor, labels: Tensor) -> Tensor:
        import torch

        count = cosines.shape[1]
        margins = device_tensor(self, f"margins {count}", cosines.device, lambda: self.margins(count))
        return cosines - torch.zeros_like(cosines).scatter(1, labels[:, None], margins[labels][:, None])
