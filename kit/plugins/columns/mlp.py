"""Side columns through two layers, concatenated to the image's features."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from kit.kinds import ColumnLayout, Columns

if TYPE_CHECKING:
    from torch import nn


class SideMlp(Columns):
    """Two linear layers with dropout on the side columns, concatenated with the image's vector.

    Source: Ha et al. 2020, "Identifying Melanoma Images using EfficientNet Ensemble", section 2.2.
    """

    embed_above: int = Field(
        10, ge=1, description="values of a category above which it is embedded instead of one-hot"
    )
    hidden: int = Field(32, ge=1, description="width of both layers")
    dropout: float = Field(0.1, ge=0, lt=1, description="share of a layer's values dropped while training")

    def build(self, features: int, layout: ColumnLayout) -> nn.Module:
        from kit.plugins.columns._side import Concatenated, SideFeatures, make_layers

        side = SideFeatures(layout, self.embed_above)
        return Concatenated(make_layers(side, self.hidden, self.dropout))
