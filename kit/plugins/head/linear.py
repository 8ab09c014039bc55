"""One linear layer: one logit per class."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from kit.kinds import Head

if TYPE_CHECKING:
    from torch import nn


class Linear(Head):
    """A linear layer with bias, after dropout if `dropout` is set.

    Source: torch.nn.Linear; dropout: Srivastava et al. 2014.
    """

    dropout: float = Field(0.0, ge=0, lt=1, description="share of the features dropped while training")

    def build(self, features: int, classes: int) -> nn.Module:
        from torch import nn

        return nn.Sequential(nn.Dropout(self.dropout), nn.Linear(features, classes))
