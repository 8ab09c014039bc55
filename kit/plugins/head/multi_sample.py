"""A linear layer after several dropouts at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from kit.kinds import Head

if TYPE_CHECKING:
    from torch import nn


class MultiSample(Head):
    """Mean of one linear layer's logits after several independent dropouts. It predicts without dropout.

    Source: Inoue 2019, "Multi-Sample Dropout for Accelerated Training and Better Generalization", section 3, with the
    mean taken over logits instead of losses.
    """

    dropout: float = Field(0.5, ge=0, lt=1, description="share of the features that each sample drops")
    samples: int = Field(5, ge=1, le=64, description="number of dropouts")

    def build(self, features: int, classes: int) -> nn.Module:
        from kit.plugins.head._dropouts import Dropouts

        return Dropouts(features, classes, self.dropout, self.samples)
