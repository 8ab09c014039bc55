"""WeightAverage: averaged weights that predict: a moving average, the mean of last epochs, or the optimizer's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from kit.device import torch_internals
from kit.device.torch_internals import copy_all, lerp_all


class WeightAverage(Protocol):
    """A second network of the same shape, whose weights follow the trained ones."""

    @property
    def module(self) -> nn.Module:
        """The second network."""

    @property
    def has_averaged(self) -> bool:
        """Whether it predicts already."""

    def after_step(self, step: int) -> None:
        """Updates the average after the network's step of this number, counted from 1."""

    def after_epoch(self, done: float) -> None:
        """Updates the average after an epoch, when `done` (0, 1] of the run's epochs are finished."""

    def needs_bn_update(self) -> bool:
        """Whether batch norm's statistics must be measured again at the end of the run."""

    @property
    def still_modules(self) -> frozenset[str]:
        """The names of modules that were frozen in every averaged epoch, whose statistics stay."""

    def state(self) -> dict[str, Any]:
        """Returns everything except the weights."""

    def load(self, state: dict[str, Any], weights: dict[str, Tensor]) -> None:
        """Loads a state by `state`, with the weights."""


class Ema:
    """timm's ModelEmaV3 with its warm-up of the decay, bit-identical and faster.

    Float tensors are averaged, including batch norm's; integer tensors are copied. The decay of step n is at
    most 1 - n^(-2/3), so that the first steps are soon forgotten. timm lists both networks' tensors at each
    step. They stay in place, so here they are listed once (resnet18 on 2 cores: 2.8 ms of a step of 250, not
    4.6).
    """

    has_averaged = True
    still_modules: frozenset[str] = frozenset()

    def __init__(self, network: nn.Module, decay: float) -> None:
        torch_internals.prepare_torchvision()
        from timm.utils import ModelEmaV3

        self._timm = ModelEmaV3(network, decay=decay, use_warmup=True)
        self.module: nn.Module = self._timm.module
        self._floats, self._others = _pairs(self.module, network)

    @torch.no_grad()
    def after_step(self, step: int) -> None:
        _move(self._floats, self._others, 1.0 - self._timm.get_decay(step))

    def after_epoch(self, done: float) -> None:
        pass

    def needs_bn_update(self) -> bool:
        return False

    def state(self) -> dict[str, Any]:
        return {}

    def load(self, state: dict[str, Any], weights: dict[str, Tensor]) -> None:
        self.module.load_state_dict(weights)


class Swa:
    """The equal mean of the weights at the end of each epoch, from a share of the run on.

    It predicts from its first epoch on. Batch norm's statistics are averaged along, and measured again over the
    training rows when the run ends, except in parts that were frozen in every averaged epoch.

    Source: Izmailov et al. 2018, "Averaging Weights Leads to Wider Optima and Better Generalization", algorithm 1;
    torch.optim.swa_utils.AveragedModel.
    """

    def __init__(self, network: nn.Module, start: float) -> None:
        self._start, self._epochs = start, 0
        self._network = network
        self.still_modules: frozenset[str] = frozenset()
        self.module: nn.Module = deepcopy(network).eval().requires_grad_(False)
        self._floats, self._others = _pairs(self.module, network)

    @property
    def has_averaged(self) -> bool:
        return self._epochs > 0

    def after_step(self, step: int) -> None:
        pass

    @torch.no_grad()
    def after_epoch(self, done: float) -> None:
        if done > self._start:
            still = _still_modules(self._network)
            self.still_modules = self.still_modules & still if self._epochs else still
            self._epochs += 1
            _move(self._floats, self._others, 1.0 / self._epochs)

    def needs_bn_update(self) -> bool:
        return self.has_averaged

    def state(self) -> dict[str, Any]:
        return {"epochs": self._epochs, "still_modules": sorted(self.still_modules)}

    def load(self, state: dict[str, Any], weights: dict[str, Tensor]) -> None:
        self._epochs = int(state["epochs"])
        self.still_modules = frozenset(state["still_modules"])
        self.module.load_state_dict(weights)


class OptimizerAverage:
    """The average that an optimizer keeps by itself, such as that of schedule-free AdamW.

    `write_average` is the optimizer's: it writes averages of weights into tensors of the same shapes. It runs only when
    the second network is used. Batch norm's statistics are those of training until the end of the run, when they are
    measured over the training rows, except in parts that were frozen throughout.
    """

    has_averaged = True

    def __init__(
        self, network: nn.Module, write_average: Callable[[Sequence[Tensor], Sequence[Tensor]], None]
    ) -> None:
        self._network, self._write_average = network, write_average
        self._module: nn.Module = deepcopy(network).eval().requires_grad_(False)
        self._epochs, self._is_current = 0, True
        self.still_modules: frozenset[str] = frozenset()

    @property
    def module(self) -> nn.Module:
        """The network with the averaged weights as they are now."""
        if not self._is_current:
            self._write_average(list(self._network.parameters()), list(self._module.parameters()))
            if buffers := list(self._module.buffers()):
                copy_all(buffers, list(self._network.buffers()))
            self._is_current = True
        return self._module

    def after_step(self, step: int) -> None:
        self._is_current = False

    def after_epoch(self, done: float) -> None:
        still = _still_modules(self._network)
        self.still_modules = self.still_modules & still if self._epochs else still
        self._epochs += 1

    def needs_bn_update(self) -> bool:
        return True

    def state(self) -> dict[str, Any]:
        return {"epochs": self._epochs, "still_modules": sorted(self.still_modules)}

    def load(self, state: dict[str, Any], weights: dict[str, Tensor]) -> None:
        self._epochs = int(state["epochs"])
        self.still_modules = frozenset(state["still_modules"])
        self._module.load_state_dict(weights)
        self._is_current = True


def _still_modules(network: nn.Module) -> frozenset[str]:
    """Returns the names of modules that are frozen now."""
    return frozenset(name for name, module in network.named_modules() if not module.training)


Pairs = list[tuple[Tensor, Tensor]]


def _pairs(mine: nn.Module, theirs: nn.Module) -> tuple[Pairs, Pairs]:
    """Returns both networks' tensors in pairs: those that are averaged, and the integer ones, which are copied."""
    pairs = list(zip(mine.state_dict().values(), theirs.state_dict().values(), strict=True))
    floats = [pair for pair in pairs if pair[0].is_floating_point()]
    return floats, [pair for pair in pairs if not pair[0].is_floating_point()]


def _move(floats: Pairs, others: Pairs, weight: float) -> None:
    """Moves the first of each pair towards the second: mine + weight * (theirs - mine)."""
    mine, theirs = zip(*floats, strict=True)
    lerp_all(mine, theirs, weight)
    if others:
        copy_all([own for own, _ in others], [other for _, other in others])
