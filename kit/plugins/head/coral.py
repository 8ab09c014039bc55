"""One direction of the features for all steps between grades, and a bias for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from kit.kinds import Head

if TYPE_CHECKING:
    from torch import nn


class CoralHead(Head):
    """One linear output that all columns share, plus a bias per column. The biases start in descending order.

    Source: Cao, Mirjalili and Raschka 2020, section 3.3, and coral_pytorch.layers.CoralLayer.
    """

    dropout: float = Field(0.0, ge=0, lt=1, description="share of the features dropped while training")

    def build(self, features: int, classes: int) -> nn.Module:
        from torch import nn

        from kit.plugins.head._shared_direction import SharedDirection

        return nn.Sequential(nn.Dropout(self.dropout), SharedDirection(features, classes))
