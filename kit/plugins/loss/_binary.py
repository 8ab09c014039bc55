"""The base of losses that ask for each class if a row has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from kit.kinds import Loss, bound_field

if TYPE_CHECKING:
    from torch import Tensor


class Binary(Loss):
    """The base of losses with one binary question per class.

    `costs` gives the cost of each answer; a row's loss is their mean or sum. Class numbers become one class
    against the rest. If a row may have any number of labels, probabilities are sigmoids. If it has exactly
    one, they are the odds p / (1 - p) = e^output, scaled to sum 1. These are independent answers given that
    exactly one is yes, and equal the softmax.
    """

    label_kinds = ("class_index", "multi_hot")

    over_classes: Literal["mean", "sum"] = Field(
        "mean", description="reduction over the classes of a row; with sum, the loss grows with their number"
    )
    multi_label: bool = bound_field(False)

    def costs(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Returns the cost of each answer, (N, K), for targets of 0 to 1 (N, K)."""
        raise NotImplementedError

    def targets(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Returns labels as targets (N, K)."""
        if labels.ndim == 2:
            return labels
        import torch

        return torch.zeros_like(outputs).scatter_(1, labels[:, None], 1.0)

    def rows(self, outputs: Tensor, labels: Tensor) -> Tensor:
        costs = self.costs(outputs, self.targets(outputs, labels))
        return costs.mean(dim=1) if self.over_classes == "mean" else costs.sum(dim=1)

    def probabilities(self, outputs: Tensor) -> Tensor:
        return outputs.sigmoid() if self.multi_label else outputs.softmax(dim=1)
