"""The mean over instances."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kit.kinds import Instances

if TYPE_CHECKING:
    from torch import nn


class MeanInstances(Instances):
    """Mean of the vectors of a bag.

    Source: Ilse et al. 2018, "Attention-based Deep Multiple Instance Learning", section 2.3, the mean operator.
    """

    def build(self, features: int) -> nn.Module:
        from kit.plugins.instances._masked import MaskedMean

        return MaskedMean()
