"""MAE: the absolute error of numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kit.plugins.loss._numbers import NumbersLoss

if TYPE_CHECKING:
    from torch import Tensor


class AbsoluteError(NumbersLoss):
    """Mean over columns of the absolute error, in units of each column's standard deviation; it predicts medians.

    Source: torch.nn.functional.l1_loss of standardised numbers.
    """

    def costs(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return (outputs - targets).abs()
