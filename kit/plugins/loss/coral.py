"""CORAL: consistent rank logits for grades."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kit.plugins.loss._ordinal import OrdinalLoss

if TYPE_CHECKING:
    from torch import Tensor


class Coral(OrdinalLoss):
    """Sum over steps of binary cross-entropy of "the grade is above this step".

    With its default head, `coral`, all steps share one direction of the features and differ by a bias. With
    `head=linear` each step has its own direction (cumulative logits).

    Source: Cao, Mirjalili and Raschka 2020, "Rank consistent ordinal regression for neural networks with
    application to age estimation", equation 4. With a linear head: Frank and Hall 2001, "A Simple Approach to
    Ordinal Classification".
    """

    def head(self) -> str:
        return "coral"

    def rows(self, outputs: Tensor, labels: Tensor) -> Tensor:
        from torch.nn import functional

        costs = functional.binary_cross_entropy_with_logits(
            outputs, self.levels(outputs, labels), reduction="none"
        )
        return costs.sum(dim=1)

    def above(self, outputs: Tensor) -> Tensor:
        return outputs.sigmoid().cummin(dim=1).values
