"""Smooth L1: squared for small errors of numbers, absolute for large ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from kit.plugins.loss._numbers import NumbersLoss

if TYPE_CHECKING:
    from torch import Tensor


class SmoothL1(NumbersLoss):
    """Mean over columns of e^2 / (2 beta) for errors e below beta, else |e| - beta / 2, so that outliers cost less.

    Errors are in units of each column's standard deviation.

    Source: torch.nn.functional.smooth_l1_loss; the first place of APTOS 2019 trained grades with it.
    """

    beta: float = Field(1.0, gt=0, description="error, in standard deviations, from which the cost is linear")

    def costs(self, outputs: Tensor, targets: Tensor) -> Tensor:
        from torch.nn import functional

        return functional.smooth_l1_loss(outputs, targets, reduction="none", beta=self.beta)
