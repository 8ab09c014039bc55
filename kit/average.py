"""Average: the exponential moving average of a network's weights, which predicts."""

from __future__ import annotations

import torch
from torch import nn

from kit import torchvision_ops


class Average:
    """timm's ModelEmaV3 with its warm-up of the decay, to the bit, in less time.

    Float tensors are averaged, batch norm's too, integer ones copied; the decay of step n is at most 1 - n^(-2/3), so
    that the first steps are not remembered for long. timm lists both networks' tensors anew at each step; they keep
    their places, so here it is done once (resnet18 on 2 cores: 2.8 ms of a step of 250, not 4.6).
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        torchvision_ops.prepare()
        from timm.utils import ModelEmaV3

        self._timm = ModelEmaV3(network, decay=decay, use_warmup=True)
        self.module: nn.Module = self._timm.module
        pairs = list(zip(self.module.state_dict().values(), network.state_dict().values(), strict=True))
        self._floats = [pair for pair in pairs if pair[0].is_floating_point()]
        self._others = [pair for pair in pairs if not pair[0].is_floating_point()]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Moves towards the network after its step of this number, which counts from 1."""
        weight = 1.0 - self._timm.get_decay(step)
        mine, theirs = zip(*self._floats, strict=True)
        torch._foreach_lerp_(list(mine), list(theirs), weight=weight)
        for own, other in self._others:
            own.copy_(other)
