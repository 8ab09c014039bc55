"""ArcFace: the true class must win by an angle, on the unit sphere."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from kit.kinds import Loss, Outputs
from kit.plugins.loss.cross_entropy import CrossEntropy

if TYPE_CHECKING:
    from torch import Tensor

EDGE = 1 - 1e-7  # acos and sqrt(1 - cos^2) have infinite gradients at 1, and rounding can give 1.0002


class Arcface(Loss):
    """Adds an angular margin to the true class's cosine, scales, and hands the logits to its base.

    Logit of the true class: s * cos(t + m); where cos t <= cos(pi - m), s * (cos t - m * sin(pi - m)), which keeps
    it falling with t. The others: s * cos t. Needs cosines, so a cosine head; computed in float32.

    Source: Deng et al. 2019, "ArcFace: Additive Angular Margin Loss for Deep Face Recognition", equation 3.
    """

    takes: ClassVar[Outputs] = "cosines"

    base: Loss = Field(CrossEntropy(), description="the loss of the scaled logits")
    margin: float = Field(0.3, ge=0, lt=math.pi / 2, description="m, radians")
    scale: float = Field(30.0, gt=0, description="s; winners used 80, 45 and 21")

    def rows(self, outputs: Tensor, labels: Tensor) -> Tensor:
        import torch

        cosines = outputs.float().clamp(-EDGE, EDGE)
        true = cosines.gather(1, labels[:, None])
        moved = torch.cos(torch.acos(true) + self.margin)
        past = true <= math.cos(math.pi - self.margin)
        moved = torch.where(past, true - self.margin * math.sin(math.pi - self.margin), moved)
        return self.base.rows(self.scale * cosines.scatter(1, labels[:, None], moved), labels)

    def probabilities(self, outputs: Tensor) -> Tensor:
        return self.base.probabilities(self.scale * outputs.float())
