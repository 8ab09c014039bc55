"""Scale and shift of the image's features by side columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from kit.kinds import ColumnLayout, Columns

if TYPE_CHECKING:
    from torch import nn


class Film(Columns):
    """Scales and shifts each feature of the image by two layers of the side columns, at first by 1 and 0.

    Source: Perez et al. 2018, "FiLM: Visual Reasoning with a General Conditioning Layer", equations 1 and 2.
    """

    embed_above: int = Field(
        10, ge=1, description="values of a category above which it is embedded instead of one-hot"
    )
    hidden: int = Field(32, ge=1, description="width of both layers")
    dropout: float = Field(0.1, ge=0, lt=1, description="share of a layer's values dropped while training")

    def build(self, features: int, layout: ColumnLayout) -> nn.Module:
        from kit.plugins.columns._side import Modulated, SideFeatures, make_layers

        side = SideFeatures(layout, self.embed_above)
        return Modulated(make_layers(side, self.hidden, self.dropout), self.hidden, features)
