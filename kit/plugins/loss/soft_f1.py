"""Soft F1: macro F1 of a batch, with probabilities in place of decisions."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from kit.kinds import Loss, bound_field

if TYPE_CHECKING:
    from torch import Tensor

MIN_SUM = 1e-6  # of probabilities and labels, so that a class that a batch lacks has no infinite slope


class SoftF1(Loss):
    """1 - the mean over the batch's classes of 2 * sum(p * y) / (sum(p) + sum(y)).

    Every row has the loss of its batch. Batches must have several rows of a class, so they are not split into
    micro-batches. It gives probabilities near 0 and 1, which are not calibrated.

    Source: Benedict et al. 2021, "sigmoidF1: A Smooth F1 Score Surrogate Loss for Multilabel Classification", section
    4, with the probability in the place of its tuned sigmoid.
    """

    label_kinds = ("class_index", "multi_hot")
    splittable: ClassVar[bool] = False

    multi_label: bool = bound_field(False)

    def rows(self, outputs: Tensor, labels: Tensor) -> Tensor:
        import torch

        shares = self.probabilities(outputs)
        hot = labels if labels.ndim == 2 else torch.zeros_like(outputs).scatter(1, labels[:, None], 1.0)
        present = (hot.sum(0) > 0).to(outputs.dtype)
        scores = 2 * (shares * hot).sum(0) / (shares.sum(0) + hot.sum(0)).clamp(min=MIN_SUM)
        value = 1 - (scores * present).sum() / present.sum().clamp(min=1)
        return value.expand(len(outputs))

    def probabilities(self, outputs: Tensor) -> Tensor:
        return outputs.sigmoid() if self.multi_label else outputs.softmax(dim=1)
