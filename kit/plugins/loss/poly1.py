"""Poly-1 loss: cross-entropy with another weight for its first polynomial term."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from kit.kinds import Loss

if TYPE_CHECKING:
    from torch import Tensor


class Poly1(Loss):
    """Cross-entropy + epsilon * (1 - p), p the true class's probability.

    Source: Leng et al. 2022, "PolyLoss: A Polynomial Expansion Perspective of Classification Loss Functions",
    equation 4 (Poly-1).
    """

    epsilon: float = Field(1.0, ge=-1, le=10, description="weight epsilon of 1 - p; 0 is cross-entropy")

    def rows(self, outputs: Tensor, labels: Tensor) -> Tensor:
        logs = outputs.log_softmax(1).gather(1, labels[:, None])[:, 0]
        return -logs - self.epsilon * logs.expm1()
