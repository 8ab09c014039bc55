"""ArcFace: the true class must win by an angle, on the unit sphere."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from kit.kinds import Loss, Outputs
from kit.plugins.loss._margin import angular
from kit.plugins.loss.cross_entropy import CrossEntropy

if TYPE_CHECKING:
    from torch import Tensor


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

        margin = torch.tensor(self.margin, device=outputs.device)
        return self.base.rows(self.scale * angular(outputs, labels, margin), labels)

    def probabilities(self, outputs: Tensor) -> Tensor:
        return self.base.probabilities(self.scale * outputs.float())
