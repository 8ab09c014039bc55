"""Rates: a network's own learning rate for each part and depth, and which parts are frozen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import cast

import torch
from torch import nn

from kit.errors import ConfigError, did_you_mean
from kit.model.network import Network


def is_part_of(name: str, prefixes: Iterable[str]) -> bool:
    """Whether a parameter's or module's name is one of the parts, or lies within one."""
    return any(name == prefix or name.startswith(prefix + ".") for prefix in prefixes)


def check_parts_exist(network: nn.Module, prefixes: Iterable[str], where: str) -> None:
    """Raises ConfigError C07 for a part that the network does not have."""
    known = [name for name, _ in network.named_modules() if name] + [n for n, _ in network.named_parameters()]
    for prefix in prefixes:
        if prefix not in known:
            parts = ", ".join(name for name, _ in network.named_children())
            raise ConfigError(
                f"{where}: the network has no part {prefix!r}{did_you_mean(prefix, known)}",
                code="C07",
                hint=f"its parts: {parts}, and modules inside them, such as {known[min(3, len(known) - 1)]}",
            )


def check_frozen(network: nn.Module, frozen: Sequence[str], where: str) -> None:
    """Raises ConfigError C07 for a part that the network does not have, C08 where nothing is left to learn."""
    check_parts_exist(network, frozen, where)
    if frozen and all(is_part_of(name, frozen) for name, _ in network.named_parameters()):
        raise ConfigError(f"{where} freezes all parts of the network", code="C08")


def freeze(network: nn.Module, frozen: Sequence[str]) -> None:
    """Sets the network to train, but for the frozen parts: no gradients, batch norm by its running statistics."""
    network.train()
    for name, weight in network.named_parameters():
        weight.requires_grad_(not is_part_of(name, frozen))
    for name, module in network.named_modules():
        if is_part_of(name, frozen):
            module.eval()


def set_layerwise_lr(
    optimizer: torch.optim.Optimizer,
    network: nn.Module,
    layer_decay: float = 1.0,
    lr_scales: Mapping[str, float] | None = None,
    freezes: Iterable[Sequence[str]] = (),
) -> None:
    """Splits the optimizer's groups so that each weight has its own peak learning rate.

    A weight d layers below the head gets lr * layer_decay^d, times the scale of the longest part of `lr_scales` that
    holds it. Weights that some of `freezes` tell apart share no group: torch's fused SGD cannot take in a weight whose
    momentum begins after that of its group. Raises ConfigError C07 for a part that the network does not have.

    Source: Clark et al. 2020, "ELECTRA", appendix A, and Bao et al. 2021, "BEiT" (layer-wise decay), as in
    timm.optim.param_groups_layer_decay; Howard and Ruder 2018, "ULMFiT", section 3.2 (a rate a part).
    """
    scales, freezes = lr_scales or {}, list(freezes)
    check_parts_exist(network, scales, "lr_scales")
    below = _layers_below_the_head(network) if layer_decay < 1 else {}
    keys = {
        id(weight): (
            layer_decay ** below.get(name, 0) * _of_part(name, scales),
            *(is_part_of(name, frozen) for frozen in freezes),
        )
        for name, weight in network.named_parameters()
    }
    groups = list(optimizer.param_groups)
    optimizer.param_groups.clear()
    for group in groups:
        for key in sorted({keys[id(weight)] for weight in group["params"]}):
            weights = [weight for weight in group["params"] if keys[id(weight)] == key]
            optimizer.param_groups.append({**group, "params": weights, "lr": group["lr"] * key[0]})


def _layers_below_the_head(network: nn.Module) -> dict[str, int]:
    depths = cast(Network, network).layer_groups()
    top = max(depths.values())
    return {name: top - depth for name, depth in depths.items()}


def _of_part(name: str, lr_scales: Mapping[str, float]) -> float:
    """The scale of the longest part that holds a weight, 1 where none does."""
    holding = [part for part in lr_scales if is_part_of(name, [part])]
    return lr_scales[max(holding, key=len)] if holding else 1.0
