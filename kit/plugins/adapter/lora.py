"""Low-rank changes of a network's matrices and kernels."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from pydantic import Field

from kit.errors import ConfigError, did_you_mean
from kit.kinds import Adapter

if TYPE_CHECKING:
    from torch import nn


class Lora(Adapter):
    """Trains a low-rank change of each matrix and kernel: W + alpha / rank * B A.

    For a kernel, a row is an output, and the columns are all inputs of one output. A starts as torch's linear
    layers do, B with zeros. It has no dropout.

    Source: Hu et al. 2022, "LoRA: Low-Rank Adaptation of Large Language Models", section 4.1; peft.
    """

    rank: int = Field(
        8,
        ge=1,
        le=1024,
        description="rank of each weight change; layers with a smaller rank stay as they are",
    )
    alpha: float = Field(16.0, gt=0, description="alpha: each weight change is scaled by alpha / rank")
    layers: tuple[str, ...] = Field(
        (),
        description="names of layers or modules, such as qkv; by default all linear, attention and convolution layers",
    )

    def adapt(self, backbone: nn.Module) -> Collection[str]:
        from torch.nn.utils.parametrize import register_parametrization

        from kit.plugins.adapter._low_rank import LowRank

        trained: list[str] = []
        for path, module, name in list(self._targets(backbone)):
            weight = getattr(module, name)
            change = LowRank(tuple(weight.shape), self.rank, self.alpha / self.rank).to(weight)
            register_parametrization(module, name, change)
            owner = f"{path}." if path else ""
            trained += [f"{owner}parametrizations.{name}.0.{part}" for part in ("down", "up")]
        return trained

    def _targets(self, backbone: nn.Module) -> Iterator[tuple[str, nn.Module, str]]:
        """Yields the layers, with their paths and the name of the weight.

        Raises ConfigError C07 for an unknown name.
        """
        targets = [layer for layer in _layers(backbone) if self._fits(layer)]
        known = sorted({part for path, _, _ in targets for part in path.split(".") if not part.isdigit()})
        for name in self.layers:
            if not any(_is_within(path, name) for path, _, _ in targets):
                raise ConfigError(
                    f"adapter.layers: the backbone has no layer {name!r} that rank {self.rank} can change"
                    f"{did_you_mean(name, known)}",
                    code="C07",
                    hint=f"its layers: {', '.join(known[:20])}",
                )
        for layer in targets:
            if not self.layers or any(_is_within(layer[0], name) for name in self.layers):
                yield layer

    def _fits(self, layer: tuple[str, nn.Module, str]) -> bool:
        """Whether the change has a lower rank than the weight may have."""
        weight = getattr(layer[1], layer[2])
        return bool(self.rank < min(len(weight), math.prod(weight.shape[1:])))


def _layers(backbone: nn.Module) -> Iterator[tuple[str, nn.Module, str]]:
    from torch import nn

    for path, module in backbone.named_modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            yield path, module, "weight"
        elif isinstance(module, nn.MultiheadAttention) and module.in_proj_weight is not None:
            yield path, module, "in_proj_weight"


def _is_within(path: str, name: str) -> bool:
    """Whether a path contains the parts of a name in succession."""
    return f".{name}." in f".{path}."
