"""The mean over all positions of the feature map."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kit.kinds import Pooling

if TYPE_CHECKING:
    from torch import nn


class Average(Pooling):
    """Mean over positions or tokens.

    Source: Lin et al. 2014, "Network In Network", section 3.2 (global average pooling).
    """

    def build(self) -> nn.Module:
        from kit.plugins.pooling._spatial import SpatialMean

        return SpatialMean()
