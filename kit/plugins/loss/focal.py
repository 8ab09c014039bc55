"""Focal loss: rows that are already predicted correctly count little."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from kit.kinds import Loss

if TYPE_CHECKING:
    from torch import Tensor


class Focal(Loss):
    """(1 - p)^gamma times cross-entropy, p the true class's probability.

    Source: Lin et al. 2017, "Focal Loss for Dense Object Detection", equation 4, over a softmax.
    """

    gamma: float = Field(2.0, ge=0, le=20, description="focusing exponent; 0 is cross-entropy")

    def rows(self, outputs: Tensor, labels: Tensor) -> Tensor:
        logs = outputs.log_softmax(1).gather(1, labels[:, None])[:, 0]
        missing = -logs.expm1()  # 1 - p, exact if p is near 1
        return (
            -missing.clamp(min=1e-12).pow(self.gamma) * logs
        )  # pow has an infinite slope at 0 for gamma < 1
