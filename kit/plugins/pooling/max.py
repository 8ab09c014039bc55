"""The largest value over all positions of the feature map."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kit.kinds import Pooling

if TYPE_CHECKING:
    from torch import nn


class Max(Pooling):
    """Maximum over positions or tokens.

    Source: Tolias et al. 2016, "Particular object retrieval with integral max-pooling of CNN activations" (MAC).
    """

    def build(self) -> nn.Module:
        from kit.plugins.pooling._spatial import SpatialMax

        return SpatialMax()
