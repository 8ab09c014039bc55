"""Pairwise AUC: each row of a class should score above each row without it, by a margin."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from kit.kinds import Loss, bound_field

if TYPE_CHECKING:
    from torch import Tensor


class PairwiseAuc(Loss):
    """The mean of max(0, margin - (p_yes - p_no))^2 over a batch's pairs of a row with a class and a row without it.

    The mean is over pairs, then over the classes that have pairs. Every row has the loss of its batch, so
    batches are not split into micro-batches. A batch without pairs has no gradient: use large batches, or
    `sampler=balanced`. The loss ranks rows, and its probabilities are not calibrated. Start from a run of
    `bce` or `cross_entropy` by `init_from`.

    Source: Gao and Zhou 2015, "On the Consistency of AUC Pairwise Optimization", table 1 (squared hinge).
    Yuan et al. 2021, "Large-scale Robust Deep AUC Maximization", equation 2, of which AUCM is the min-max
    form.
    """

    label_kinds = ("class_index", "multi_hot")
    splittable: ClassVar[bool] = False

    margin: float = Field(
        1.0, gt=0, le=2, description="margin by which a positive should score above a negative"
    )
    multi_label: bool = bound_field(False)

    def rows(self, outputs: Tensor, labels: Tensor) -> Tensor:
        import torch

        scores = self.probabilities(outputs)
        hot = labels if labels.ndim == 2 else torch.zeros_like(outputs).scatter(1, labels[:, None], 1.0)
        short = (self.margin - scores[:, None, :] + scores[None, :, :]).clamp(min=0) ** 2
        pairs = hot[:, None, :] * (1 - hot)[None, :, :]
        counts = pairs.sum((0, 1))
        means = (short * pairs).sum((0, 1)) / counts.clamp(min=1)
        value = means.sum() / (counts > 0).sum().clamp(min=1)
        return value.expand(len(outputs))

    def probabilities(self, outputs: Tensor) -> Tensor:
        return outputs.sigmoid() if self.multi_label else outputs.softmax(dim=1)
