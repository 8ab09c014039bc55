"""CORN: conditional probabilities of the next grade."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kit.plugins.loss._ordinal import OrdinalLoss

if TYPE_CHECKING:
    from torch import Tensor


class Corn(OrdinalLoss):
    """Mean over steps of binary cross-entropy of "above this step", of the rows that are above the step before.

    The probability of being above a step is the product of the conditional ones up to it.

    Source: Shi, Cao and Raschka 2021, "Deep Neural Networks for Rank-Consistent Ordinal Regression Based On
    Conditional Probabilities", equation 7, whose sum over a batch is divided by rows * steps here.
    """

    def rows(self, outputs: Tensor, labels: Tensor) -> Tensor:
        import torch
        from torch.nn import functional

        levels = self.levels(outputs, labels)
        costs = functional.binary_cross_entropy_with_logits(outputs, levels, reduction="none")
        reached = torch.cat([torch.ones_like(levels[:, :1]), levels[:, :-1]], dim=1)
        return (costs * reached).mean(dim=1)

    def above(self, outputs: Tensor) -> Tensor:
        return outputs.sigmoid().cumprod(dim=1)
