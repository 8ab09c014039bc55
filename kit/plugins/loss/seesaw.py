"""Seesaw loss: frequent classes suppress rare ones less, unless rare rows are mistaken for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from kit.kinds import Loss, bound_field
from kit.plugins.loss._device_tensors import device_tensor

if TYPE_CHECKING:
    from torch import Tensor

MIN_PROBABILITY = 1e-2  # of the true class, in the compensation; mmdet's own number


class Seesaw(Loss):
    """Cross-entropy in which class j has the weight S in the softmax of a row of class i.

    S is (count j / count i)^p for classes rarer than i, times (p_j / p_i)^q for classes to which the network
    gives a higher probability. The counts are those of all training rows; mmdet counts the rows seen so far.

    Source: Wang et al. 2021, "Seesaw Loss for Long-Tailed Instance Segmentation", equations 4 to 6; mmdet's SeesawLoss.
    """

    p: float = Field(
        0.8, ge=0, le=5, description="mitigation exponent p: higher values push rare classes down less"
    )
    q: float = Field(
        2.0,
        ge=0,
        le=5,
        description="compensation exponent q: higher values penalise wrongly predicted classes more",
    )
    counts: tuple[int, ...] = bound_field()

    def rows(self, outputs: Tensor, labels: Tensor) -> Tensor:
        import torch

        classes, own = outputs.shape[1], labels[:, None]
        logs = device_tensor(
            self,
            f"counts {classes}",
            outputs.device,
            lambda: [max(n, 1) for n in self.counts or (1,) * classes],
        ).log()
        weights = self.p * (logs[None, :] - logs[labels][:, None]).clamp(max=0)
        scores = outputs.detach().softmax(1)
        true = scores.gather(1, own).clamp(min=MIN_PROBABILITY)
        weights = weights + self.q * (scores.clamp(min=1e-30).log() - true.log()).clamp(min=0)
        weights = weights.scatter(1, own, torch.zeros_like(true))
        adjusted = outputs + weights
        return adjusted.logsumexp(1) - adjusted.gather(1, own)[:, 0]
