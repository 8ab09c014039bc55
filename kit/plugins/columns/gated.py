"""A gate between the image's features and the side columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from kit.kinds import ColumnLayout, Columns

if TYPE_CHECKING:
    from torch import nn


class GatedUnit(Columns):
    """A learned gate weighs a layer of the image's vector against a layer of the side columns.

    Source: Arevalo et al. 2017, "Gated Multimodal Units for Information Fusion", equation 1.
    """

    embed_above: int = Field(
        10, ge=1, description="values of a category above which it is embedded instead of one-hot"
    )
    hidden: int = Field(128, ge=1, description="number of features behind the gate")
    dropout: float = Field(0.0, ge=0, lt=1, description="share of these features dropped while training")

    def build(self, features: int, layout: ColumnLayout) -> nn.Module:
        from kit.plugins.columns._side import Gated, SideFeatures

        return Gated(SideFeatures(layout, self.embed_above), features, self.hidden, self.dropout)
