"""Schedule-free AdamW: no falling rate, and averaged weights that predict."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from kit.kinds import Optimizer

if TYPE_CHECKING:
    import torch

Decay = Annotated[float, Field(gt=0, lt=1)]


class ScheduleFreeAdamw(Optimizer):
    """AdamW at a constant rate. An average of all its steps predicts, so the length of a run need not be known.

    It needs `scheduler=constant` and `ema_decay=0`. The gradient is taken between the average and the last step, the
    share of the average being the first of `betas`. Batch norm's statistics of the average are measured after the last
    epoch; until then they are those of training. Biases and norm layers do not decay.

    Source: Defazio et al. 2024, "The Road Less Scheduled", algorithm 1; the authors' schedulefree.AdamWScheduleFree.
    """

    lr: float = Field(2.5e-3, gt=0, description="learning rate after the warm-up")
    weight_decay: float = Field(
        0.05, ge=0, description="weight decay: each step subtracts lr * weight_decay times the weight"
    )
    betas: tuple[Decay, Decay] = Field(
        (0.9, 0.999),
        description="weight of the average at the point of the gradient, and decay of the squared gradients",
    )

    @property
    def state_tensors(self) -> int:
        """The weights of the last step and the squares of the gradient."""
        return 2

    def averages_weights(self) -> bool:
        return True

    def build(self, parameters: Sequence[tuple[str, torch.nn.Parameter]]) -> torch.optim.Optimizer:
        from kit.plugins.optimizer._groups import groups
        from kit.plugins.optimizer._schedule_free import ScheduleFreeAdamW

        return ScheduleFreeAdamW(groups(parameters, self.weight_decay), lr=self.lr, betas=self.betas)
