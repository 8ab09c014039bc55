"""Every optimizer of timm, by its name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from kit.errors import ConfigError, did_you_mean
from kit.kinds import Optimizer

if TYPE_CHECKING:
    import torch


class TimmOptimizer(Optimizer):
    """A timm optimizer. `opt` is its name in timm. Biases and norm layers do not decay.

    Source: Wightman 2019, timm.optim.create_optimizer_v2.
    """

    opt: str = Field(
        "lamb", description="name of the optimizer in timm, such as lamb, lion, adopt, nadamw or adafactor"
    )
    lr: float = Field(2e-3, gt=0, description="peak learning rate")
    weight_decay: float = Field(
        0.05,
        ge=0,
        description="weight decay of the optimizer; 0.05 is too high if decay is added to the gradient, as in radam",
    )
    momentum: float = Field(0.9, ge=0, lt=1, description="momentum, for optimizers that have one")

    def build(self, parameters: Sequence[tuple[str, torch.nn.Parameter]]) -> torch.optim.Optimizer:
        from kit.device.torch_internals import prepare_torchvision

        prepare_torchvision()
        from timm import optim

        from kit.plugins.optimizer._groups import groups

        known = optim.list_optimizers()
        if self.opt not in known:
            raise ConfigError(
                f"timm has no optimizer {self.opt!r}{did_you_mean(self.opt, known)}", code="C07"
            )
        optimizer: torch.optim.Optimizer = optim.create_optimizer_v2(
            groups(parameters, self.weight_decay),
            self.opt,
            lr=self.lr,
            weight_decay=0.0,
            momentum=self.momentum,
        )
        return optimizer
