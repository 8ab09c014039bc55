"""fusion: batch norm's arithmetic put into the kernels before it, in a copy of a network that only predicts."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from copy import deepcopy
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from kit.device.precision import Precision
from kit.device.torch_internals import is_compiled

FUSION_TOLERANCE = (
    1e-4  # largest difference on the probe, as a share of the largest output; float32 gives 1e-6
)
PROBE = 2  # images

Pair = tuple[nn.Conv2d, nn.BatchNorm2d]


@torch.no_grad()
def fuse(network: nn.Module, size: int) -> nn.Module:
    """A copy of a network for predicting in float32, or the network itself where nothing can be fused.

    Which kernels feed which norms is seen by showing the network images of `size` px, and the copy is taken only where
    it gives the same outputs; so any backbone may come. In bf16 it would round otherwise: as near to float32 as the
    plain network is, but with another top class on 6 rows in 1,000.

    Source: torch.nn.utils.fusion.fuse_conv_bn_eval.
    """
    device = next(network.parameters()).device
    draws = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (PROBE, 3, size, size), generator=draws).float().to(device)
    copied = deepcopy(network).eval()
    pairs, wanted = _pairs(copied, images)
    if not pairs:
        return network
    names = {module: name for name, module in copied.named_modules()}
    for kernel, norm in pairs:
        _fuse(kernel, norm)
        copied.set_submodule(names[norm], _rest(norm))
    try:
        found = copied(images)
    except Exception:  # code that looks into its own norms may raise anything where there are none
        return network
    near = (
        found.shape == wanted.shape and (found - wanted).abs().max() <= FUSION_TOLERANCE * wanted.abs().max()
    )
    return copied if near else network


def _pairs(network: nn.Module, images: Tensor) -> tuple[list[Pair], Tensor]:
    """Kernels whose outputs are the inputs of norms, each at work once in a forward pass; and the pass's outputs."""
    made: dict[
        int, tuple[nn.Conv2d, Tensor]
    ] = {}  # tensors are held, so that no other takes their place in memory
    pairs: list[Pair] = []
    calls: Counter[nn.Module] = Counter()

    def after_kernel(module: nn.Module, given: Any, output: Tensor) -> None:
        calls[module] += 1
        made[id(output)] = (cast(nn.Conv2d, module), output)

    def before_norm(module: nn.Module, given: tuple[Tensor, ...]) -> None:
        calls[module] += 1
        if id(given[0]) in made:
            pairs.append((made[id(given[0])][0], cast(nn.BatchNorm2d, module)))

    with ExitStack() as stack:
        for module in network.modules():
            if type(module) is nn.Conv2d:
                stack.callback(module.register_forward_hook(after_kernel).remove)
            elif isinstance(module, nn.BatchNorm2d) and module.track_running_stats:
                stack.callback(module.register_forward_pre_hook(before_norm).remove)
        outputs = network(images)
    return [pair for pair in pairs if calls[pair[0]] == calls[pair[1]] == 1], cast(Tensor, outputs)


def _fuse(kernel: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    kernel.weight, kernel.bias = fuse_conv_bn_weights(
        kernel.weight, kernel.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
    )


def _rest(norm: nn.BatchNorm2d) -> nn.Module:
    """What a norm does besides; timm's BatchNormAct2d goes on with a drop and an activation."""
    drop, act = getattr(norm, "drop", None), getattr(norm, "act", None)
    steps = [step for step in (drop, act) if isinstance(step, nn.Module)]
    return nn.Sequential(*steps) if steps else nn.Identity()


def for_predicting(network: nn.Module, precision: Precision, size: int) -> nn.Module:
    """What predicts images of `size` px: a fused copy where that is exact, a plain copy of a compiled network."""
    if is_compiled(network):
        network = deepcopy(network)
    return fuse(network, size) if precision.predict == "float32" else network
