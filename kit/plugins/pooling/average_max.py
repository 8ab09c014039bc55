"""Average and maximum together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kit.kinds import Pooling

if TYPE_CHECKING:
    from torch import nn


class AverageMax(Pooling):
    """Half the sum of the mean and the maximum over positions or tokens. The number of features stays the same.

    Source: timm's SelectAdaptivePool2d(pool_type="avgmax").
    """

    def build(self) -> nn.Module:
        from kit.plugins.pooling._spatial import SpatialMeanAndMax

        return SpatialMeanAndMax()
