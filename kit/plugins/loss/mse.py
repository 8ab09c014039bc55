"""MSE: the squared error of numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kit.plugins.loss._numbers import NumbersLoss

if TYPE_CHECKING:
    from torch import Tensor


class SquaredError(NumbersLoss):
    """Mean over columns of the squared error, in units of each column's variance among the training rows.

    Source: torch.nn.functional.mse_loss of standardised numbers.
    """

    def costs(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return (outputs - targets) ** 2
