"""Asymmetric loss: correctly predicted absent classes hardly count."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from kit.plugins.loss._binary import Binary

if TYPE_CHECKING:
    from torch import Tensor


class Asymmetric(Binary):
    """Focal binary cross-entropy that focuses more on negatives than on positives, and drops the easiest negatives.

    p is the sigmoid and p_m = max(p - clip, 0). A yes costs (1 - p)^gamma_pos * -log p, a no p_m^gamma_neg *
    -log(1 - p_m). If both gammas and the clip are 0, it is bce.

    Source: Ridnik et al. 2021, "Asymmetric Loss For Multi-Label Classification", equations 4 to 7;
    timm.loss.AsymmetricLossMultiLabel.
    """

    gamma_neg: float = Field(
        4.0, ge=0, le=20, description="focusing exponent of correctly predicted negatives"
    )
    gamma_pos: float = Field(
        0.0, ge=0, le=20, description="focusing exponent of correctly predicted positives"
    )
    clip: float = Field(
        0.05, ge=0, lt=1, description="probability margin m: negatives with a lower probability have no loss"
    )

    def costs(self, outputs: Tensor, targets: Tensor) -> Tensor:
        from torch.nn import functional

        yes, no = -functional.logsigmoid(outputs), functional.softplus(outputs)
        if self.clip:
            no = -(-(outputs.sigmoid() - self.clip).clamp(min=0)).log1p()
        return targets * _focus(yes, self.gamma_pos) + (1 - targets) * _focus(no, self.gamma_neg)


def _focus(cost: Tensor, gamma: float) -> Tensor:
    """Returns the cost -log q of an answer of probability q times (1 - q)^gamma."""
    if not gamma:
        return cost
    missing = -(-cost).expm1()  # 1 - q, exact if q is near 1
    return missing.clamp(min=1e-12).pow(gamma) * cost  # pow has an infinite slope at 0 for gamma < 1
