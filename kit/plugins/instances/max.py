"""The maximum over instances."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kit.kinds import Instances

if TYPE_CHECKING:
    from torch import nn


class MaxInstances(Instances):
    """Largest value of each feature over the vectors of a bag.

    Source: Ilse et al. 2018, "Attention-based Deep Multiple Instance Learning", section 2.3, the max operator.
    """

    def build(self, features: int) -> nn.Module:
        from kit.plugins.instances._masked import MaskedTopK

        return MaskedTopK(1)
