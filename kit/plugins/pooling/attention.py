"""A learned weighted mean over positions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kit.kinds import Pooling

if TYPE_CHECKING:
    from torch import nn


class Attention(Pooling):
    """Mean over positions or tokens, weighted by the softmax of one learned score each.

    The scoring vector starts at zero, so that training starts from the plain mean; float32 under AMP.

    Source: Ilse et al. 2018, "Attention-based Deep Multiple Instance Learning", equation 8, with a linear score.
    """

    def build(self) -> nn.Module:
        from kit.plugins.pooling._spatial import SpatialAttention

        return SpatialAttention()
