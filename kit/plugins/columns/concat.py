"""Side columns concatenated to the image's features."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from kit.kinds import ColumnLayout, Columns

if TYPE_CHECKING:
    from torch import nn


class SideConcat(Columns):
    """Numbers, one-hot codes and embeddings of categories, concatenated with the image's vector.

    Source: fastai.tabular.model.TabularModel, for the values.
    """

    embed_above: int = Field(
        10, ge=1, description="values of a category above which it is embedded instead of one-hot"
    )

    def build(self, features: int, layout: ColumnLayout) -> nn.Module:
        from kit.plugins.columns._side import Concatenated, SideFeatures

        return Concatenated(SideFeatures(layout, self.embed_above))
