"""CosFace: the true class must win by a cosine."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from kit.kinds import Loss, Outputs
from kit.plugins.loss.cross_entropy import CrossEntropy

if TYPE_CHECKING:
    from torch import Tensor


class Cosface(Loss):
    """Takes a margin from the true class's cosine, scales, and hands the logits to its base.

    Logit of the true class: s * (cos t - m). The others: s * cos t. Needs cosines, so a cosine head.

    Source: Wang et al. 2018, "CosFace: Large Margin Cosine Loss for Deep Face Recognition", equation 4.
    """

    takes: ClassVar[Outputs] = "cosines"

    base: Loss = Field(CrossEntropy(), description="the loss of the scaled logits")
    margin: float = Field(0.2, ge=0, lt=2, description="m, of the cosine")
    scale: float = Field(30.0, gt=0, description="s")

    def rows(self, outputs: Tensor, labels: Tensor) -> Tensor:
        import torch

        cosines = outputs.float()
        taken = torch.zeros_like(cosines).scatter(1, labels[:, None], self.margin)
        return self.base.rows(self.scale * (cosines - taken), labels)

    def probabilities(self, outputs: Tensor) -> Tensor:
        return self.base.probabilities(self.scale * outputs.float())
