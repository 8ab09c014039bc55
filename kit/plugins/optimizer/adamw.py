"""Adam with decoupled weight decay."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from kit.kinds import Optimizer

if TYPE_CHECKING:
    import torch

Decay = Annotated[float, Field(ge=0, lt=1)]


class Adamw(Optimizer):
    """Adam with decoupled weight decay. Biases and norm layers do not decay.

    Source: Loshchilov & Hutter 2019, "Decoupled Weight Decay Regularization"; torch.optim.AdamW.
    """

    lr: float = Field(2e-3, gt=0, description="peak learning rate")
    weight_decay: float = Field(
        0.05, ge=0, description="weight decay: each step subtracts lr * weight_decay times the weight"
    )
    betas: tuple[Decay, Decay] = Field(
        (0.9, 0.999), description="decay of the running means of the gradient and of its square"
    )

    @property
    def state_tensors(self) -> int:
        """2: the mean and the squares of the gradient."""
        return 2

    def build(self, parameters: Sequence[tuple[str, torch.nn.Parameter]]) -> torch.optim.Optimizer:
        import torch

        from kit.plugins.optimizer._groups import groups

        return torch.optim.AdamW(
            groups(parameters, self.weight_decay), lr=self.lr, betas=self.betas, fused=True
        )
