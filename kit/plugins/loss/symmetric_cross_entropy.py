"""Symmetric cross-entropy: cross-entropy in both directions, for partly wrong labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from kit.kinds import Loss

if TYPE_CHECKING:
    from torch import Tensor


class SymmetricCrossEntropy(Loss):
    """alpha * cross-entropy + beta * reverse cross-entropy, with `log_zero` in place of log 0.

    The reverse part is -log_zero * (1 - p), with p the true class's probability. It is bounded, so the effect
    of a wrong label is limited.

    Source: Wang et al. 2019, "Symmetric Cross Entropy for Robust Learning with Noisy Labels", equations 5 to 7.
    """

    alpha: float = Field(0.5, ge=0, description="weight of cross-entropy")
    beta: float = Field(1.0, ge=0, description="weight of reverse cross-entropy")
    log_zero: float = Field(-4.0, lt=0, description="A, what log 0 counts as")

    def rows(self, outputs: Tensor, labels: Tensor) -> Tensor:
        logs = outputs.log_softmax(1).gather(1, labels[:, None])[:, 0]
        return -self.alpha * logs - self.beta * self.log_zero * -logs.expm1()
