"""The cosine between an image's vector and each class's."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from kit.kinds import Head, Outputs

if TYPE_CHECKING:
    from torch import nn


class CosineHead(Head):
    """Cosines from -1 to 1 between an embedding of the features and one learned vector per class, in float32.

    Source: Wang et al. 2018, "CosFace", section 3.1 (normalised weights and features).
    """

    gives: ClassVar[Outputs] = "cosines"

    embedding: int | None = Field(
        None, ge=2, description="size of a linear + batch-norm layer before; none by default"
    )

    def build(self, features: int, classes: int) -> nn.Module:
        from torch import nn

        from kit.plugins.head._cosines import Cosines

        if self.embedding is None:
            return Cosines(features, classes)
        neck = nn.Sequential(nn.Linear(features, self.embedding, bias=False), nn.BatchNorm1d(self.embedding))
        return nn.Sequential(neck, Cosines(self.embedding, classes))
