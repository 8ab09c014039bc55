"""ArcFace: an angular margin for the true class on the unit sphere."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pydantic import Field

from kit.plugins.loss._margin import Margin, angular

if TYPE_CHECKING:
    from torch import Tensor


class Arcface(Margin):
    """Adds an angular margin to the true class's cosine, scales the cosines and passes them to its base as logits.

    The logit of the true class is s * cos(t + m). If cos t <= cos(pi - m), it is s * (cos t - m * sin(pi -
    m)), which decreases with t. The others are s * cos t. It needs cosines, so a cosine head, and is computed
    in float32.

    Source: Deng et al. 2019, "ArcFace: Additive Angular Margin Loss for Deep Face Recognition", equation 3.
    """

    margin: float = Field(0.3, ge=0, lt=math.pi / 2, description="margin m in radians")

    def marginal(self, cosines: Tensor, labels: Tensor) -> Tensor:
        import torch

        return angular(cosines, labels, torch.full((), self.margin, device=cosines.device))
