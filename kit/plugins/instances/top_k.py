"""The mean of the largest values over instances."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from kit.kinds import Instances

if TYPE_CHECKING:
    from torch import nn


class TopKInstances(Instances):
    """Mean of the k largest values of each feature over the vectors of a bag.

    Source: Zhou et al. 2017, "Adaptive Pooling in Multi-instance Learning for Web Video Annotation", k-max pooling.
    """

    k: int = Field(3, ge=1, description="values of each feature; a bag with fewer instances has all of them")

    def build(self, features: int) -> nn.Module:
        from kit.plugins.instances._masked import MaskedTopK

        return MaskedTopK(self.k)
