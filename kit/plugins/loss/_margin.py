"""The base of margin losses, and the angular margin of ArcFace and similar losses."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from kit.kinds import Loss, Outputs
from kit.plugins.loss.cross_entropy import CrossEntropy

if TYPE_CHECKING:
    from torch import Tensor

EDGE = 1 - 1e-7  # acos and sqrt(1 - cos^2) have infinite gradients at 1, and rounding can give 1.0002


class Margin(Loss):
    """Reduces the true class's cosine, scales all cosines, and passes them to its base as logits."""

    takes: ClassVar[Outputs] = "cosines"

    base: Loss = Field(CrossEntropy(), description="the loss of the scaled logits")
    scale: float = Field(30.0, gt=0, description="s; winners used 80, 45 and 21")

    def marginal(self, cosines: Tensor, labels: Tensor) -> Tensor:
        """Returns cosines (N, K) float32 with the margin applied to each row's true class."""
        raise NotImplementedError

    def rows(self, outputs: Tensor, labels: Tensor) -> Tensor:
        return self.base.rows(self.scale * self.marginal(outputs.float(), labels), labels)

    def probabilities(self, outputs: Tensor) -> Tensor:
        return self.base.probabilities(self.scale * outputs.float())


def angular(outputs: Tensor, labels: Tensor, margin: Tensor) -> Tensor:
    """Returns cosines (N, K) in float32 with the true class's cos t replaced by cos(t + m), m of shape (N, 1) or ().

    If cos t <= cos(pi - m) it is cos t - m * sin(pi - m), which decreases with t.
    """
    import torch

    cosines = outputs.clamp(-EDGE, EDGE)
    true = cosines.gather(1, labels[:, None])
    moved = torch.cos(torch.acos(true) + margin)
    past = true <= torch.cos(math.pi - margin)
    moved = torch.where(past, true - margin * torch.sin(math.pi - margin), moved)
    return cosines.scatter(1, labels[:, None], moved)
