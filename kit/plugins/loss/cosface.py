"""CosFace: a cosine margin for the true class."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from kit.plugins.loss._margin import Margin

if TYPE_CHECKING:
    from torch import Tensor


class Cosface(Margin):
    """Subtracts a margin from the true class's cosine, scales the cosines and passes them to its base as logits.

    The logit of the true class is s * (cos t - m). The others are s * cos t. It needs cosines, so a cosine
    head.

    Source: Wang et al. 2018, "CosFace: Large Margin Cosine Loss for Deep Face Recognition", equation 4.
    """

    margin: float = Field(0.2, ge=0, lt=2, description="margin m of the cosine")

    def marginal(self, cosines: Tensor, labels: Tensor) -> Tensor:
        import torch

        return cosines - torch.zeros_like(cosines).scatter(1, labels[:, None], self.margin)
