"""Stochastic gradient descent with Nesterov momentum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from kit.kinds import Optimizer

if TYPE_CHECKING:
    import torch


class Sgd(Optimizer):
    """Gradient descent with momentum. Biases and norm layers do not decay.

    Source: Sutskever et al. 2013, "On the importance of initialization and momentum"; torch.optim.SGD.
    """

    lr: float = Field(0.05, gt=0, description="peak learning rate")
    momentum: float = Field(0.9, ge=0, lt=1, description="momentum")
    nesterov: bool = Field(True, description="use Nesterov momentum")
    weight_decay: float = Field(
        5e-4, ge=0, description="L2 penalty: the factor of the weight that is added to the gradient"
    )

    @property
    def state_tensors(self) -> int:
        """1 with momentum, else 0."""
        return 1 if self.momentum > 0 else 0

    def build(self, parameters: Sequence[tuple[str, torch.nn.Parameter]]) -> torch.optim.Optimizer:
        import torch

        from kit.plugins.optimizer._groups import groups

        return torch.optim.SGD(
            groups(parameters, self.weight_decay),
            lr=self.lr,
            momentum=self.momentum,
            nesterov=self.nesterov and self.momentum > 0,
            fused=True,
        )
