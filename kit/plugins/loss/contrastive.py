"""Contrastive: pulls images of a class together and pushes those of other classes apart to a margin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from kit.plugins.loss._auxiliary import AuxiliaryLoss

if TYPE_CHECKING:
    from torch import Tensor


class Contrastive(AuxiliaryLoss):
    """Over the batch's pairs: mean of 1 - cos for equal classes, and of max(0, cos - margin) for different ones.

    The classifier's loss is added. Each mean is over its own pairs, so that the few equal pairs count as much
    as the many unequal ones. A kind of pair that the batch lacks costs nothing.

    Source: Hadsell, Chopra and LeCun 2006, "Dimensionality Reduction by Learning an Invariant Mapping", in cosines as
    torch.nn.CosineEmbeddingLoss has it.
    """

    margin: float = Field(
        0.3, ge=-1, lt=1, description="cosine above which images of different classes are pushed apart"
    )

    def among(self, vectors: Tensor, labels: Tensor) -> Tensor:
        import torch

        cosines = vectors @ vectors.T
        pairs = torch.ones_like(cosines, dtype=torch.bool).triu(1)
        same = labels[:, None] == labels
        near, far = same & pairs, ~same & pairs
        pulled = ((1 - cosines) * near).sum() / near.sum().clamp(min=1)
        pushed = ((cosines - self.margin).clamp(min=0) * far).sum() / far.sum().clamp(min=1)
        total: Tensor = pulled + pushed
        return total
