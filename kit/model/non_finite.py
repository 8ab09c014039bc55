"""Non-finite values: finds the first layer of a network that gives NaN or infinity."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn


@torch.no_grad()
def find_non_finite(network: nn.Module, predict: Callable[[], Any]) -> str:
    """Returns the first weight, statistic or layer that is not finite, in words; empty if all are.

    `predict` calls the network. It is called with the network in evaluation mode, and the mode is restored.
    """
    for name, value in network.state_dict().items():
        if count := _count_non_finite(value):
            return f"{name} has {count} of {value.numel()} values that are not finite"
    messages: list[str] = []
    modes = {module: module.training for module in network.modules()}
    network.eval()
    with ExitStack() as stack:
        for name, module in network.named_modules():
            if not any(module.children()):
                stack.callback(module.register_forward_hook(_watch(name, messages)).remove)
        stack.callback(_restore_modes, modes)
        predict()
    return messages[0] if messages else ""


def _watch(name: str, messages: list[str]) -> Callable[[nn.Module, Any, Any], None]:
    """Returns a hook that records a layer whose output is not finite although its input is."""

    def hook(module: nn.Module, inputs: Any, output: Any) -> None:
        if messages or not isinstance(output, Tensor) or not (count := _count_non_finite(output)):
            return
        largest = max(
            (float(tensor.abs().max()) for tensor in inputs if isinstance(tensor, Tensor)), default=0.0
        )
        messages.append(
            f"layer {name} ({type(module).__name__}) gives {count} of {output.numel()} values that are not finite, "
            f"for inputs up to {largest:.3g}, in {str(output.dtype).removeprefix('torch.')}"
        )

    return hook


def _count_non_finite(value: Any) -> int:
    if not torch.is_tensor(value) or not value.is_floating_point():
        return 0
    return int((~torch.isfinite(value)).sum())


def _restore_modes(modes: dict[nn.Module, bool]) -> None:
    for module, training in modes.items():
        module.training = training
