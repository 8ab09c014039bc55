"""A network of linear layers: one logit per class."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from kit.kinds import Head

if TYPE_CHECKING:
    from torch import nn


class Mlp(Head):
    """Hidden linear layers with GELU, then a linear layer, each after dropout.

    Source: Rumelhart et al. 1986; GELU: Hendrycks & Gimpel 2016; dropout: Srivastava et al. 2014.
    """

    hidden: int = Field(256, ge=1, le=16384, description="width of each hidden layer")
    layers: int = Field(1, ge=1, le=8, description="number of hidden layers")
    dropout: float = Field(0.2, ge=0, lt=1, description="share of the values dropped before each layer")

    def build(self, features: int, classes: int) -> nn.Module:
        from torch import nn

        layers: list[nn.Module] = []
        for _ in range(self.layers):
            layers += [nn.Dropout(self.dropout), nn.Linear(features, self.hidden), nn.GELU()]
            features = self.hidden
        return nn.Sequential(*layers, nn.Dropout(self.dropout), nn.Linear(features, classes))
