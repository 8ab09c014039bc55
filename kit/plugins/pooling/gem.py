"""GeM: a power mean between average and maximum."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from kit.kinds import Pooling

if TYPE_CHECKING:
    from torch import nn


class Gem(Pooling):
    """Generalised mean over positions, (mean x^p)^(1/p): the mean for p = 1, near the maximum for large p.

    Source: Radenovic et al. 2018, "Fine-tuning CNN Image Retrieval with No Human Annotation", equation 4.
    """

    power: float = Field(3.0, gt=0, le=100, description="initial value of p")
    learned: bool = Field(True, description="whether p is trained")

    def build(self) -> nn.Module:
        from kit.plugins.pooling._spatial import SpatialGeneralisedMean

        return SpatialGeneralisedMean(self.power, self.learned)
