"""A classifier's logits beside the unit vector that they are made from."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from kit.kinds import Head, Outputs

if TYPE_CHECKING:
    from torch import nn


class Joint(Head):
    """A linear layer's logits (N, classes), followed by the features (N, features) scaled to length 1, in float32.

    It is for losses that compare rows of the batch with each other, such as `contrastive`, in addition to a
    classifier's loss.

    Source: the two branches of Sun et al. 2014, "Deep Learning Face Representation by Joint
    Identification-Verification".
    """

    gives: ClassVar[Outputs] = "logits_and_embedding"

    dropout: float = Field(
        0.0, ge=0, lt=1, description="share of the features dropped before the linear layer"
    )

    def build(self, features: int, classes: int) -> nn.Module:
        from kit.plugins.head._auxiliary import WithEmbedding

        return WithEmbedding(features, classes, self.dropout)
