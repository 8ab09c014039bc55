"""A learned weighted mean over instances."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from kit.kinds import Instances

if TYPE_CHECKING:
    from torch import nn


class AttentionInstances(Instances):
    """Mean of the vectors of a bag, weighted by the softmax of a small network's score of each.

    The score is w tanh(V h), or w (tanh(V h) * sigmoid(U h)) with `gated`. Weights of sum 1 are float32 under AMP.

    Source: Ilse et al. 2018, "Attention-based Deep Multiple Instance Learning", equations 8 and 9.
    """

    hidden: int = Field(128, ge=1, le=8192, description="width of V and U")
    gated: bool = Field(False, description="multiply by a learned gate: equation 9")

    def build(self, features: int) -> nn.Module:
        from kit.plugins.instances._masked import MaskedAttention

        return MaskedAttention(features, self.hidden, self.gated)
