"""Private parts of torch that kit uses, and the import of torchvision beside a torch that it was not built for.

Nothing else in kit imports or calls a private name of torch. Tried with torch 2.6.0, 2.11.0 and 2.13.0: the lowest
version of setup.cfg, Colab's and the version of constraints.txt. A newer torch may rename any of them:
tests/device/test_torch_internals.py calls each one and compares it with public functions.

timm only needs torchvision's Python code. If its binary does not fit the installed torch (a CPU build beside
a CUDA one), the import fails with "operator torchvision::nms does not exist". Declaring the operators lets it
load.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm as AnyBatchNorm
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

__all__ = [
    "AnyBatchNorm",
    "TorchDispatchMode",
    "all_finite",
    "allocate_shared",
    "build_without_memory",
    "check_cpp_compiler",
    "copy_all",
    "is_compiled",
    "lerp_all",
    "limit_recompiles",
    "overflow_flags",
    "schedule_free_step",
    "storage_key",
    "tree_leaves",
]

T = TypeVar("T")


def copy_all(targets: Sequence[Tensor], sources: Sequence[Tensor]) -> None:
    """Copies each source into its target, by one kernel on a GPU."""
    torch._foreach_copy_(list(targets), list(sources))


def lerp_all(targets: Iterable[Tensor], ends: Iterable[Tensor], weight: float) -> None:
    """Moves each target to target + weight * (end - target), by one kernel on a GPU."""
    torch._foreach_lerp_(list(targets), list(ends), weight=weight)


def schedule_free_step(
    weights: Sequence[Tensor],
    gradients: Sequence[Tensor],
    base: Sequence[Tensor],
    squares: Sequence[Tensor],
    *,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
    steps: int,
    share: float,
) -> None:
    """Moves the weights y, the base z and the squares by step number `steps` of schedule-free AdamW.

    `share` is that of the step in the average. The operations are those of the authors' AdamWScheduleFree.
    """
    weights, base, squares = list(weights), list(base), list(squares)
    torch._foreach_mul_(squares, betas[1])
    torch._foreach_addcmul_(squares, list(gradients), list(gradients), value=1 - betas[1])
    scale = torch._foreach_div(squares, 1 - betas[1] ** steps)
    torch._foreach_sqrt_(scale)
    torch._foreach_add_(scale, eps)
    updates = torch._foreach_div(list(gradients), scale)
    if weight_decay:
        torch._foreach_add_(updates, weights, alpha=weight_decay)
    lerp_all(weights, base, share)
    torch._foreach_add_(weights, updates, alpha=lr * (betas[0] * (1 - share) - 1))
    torch._foreach_sub_(base, updates, alpha=lr)


def overflow_flags(scaler: torch.amp.GradScaler, optimizer: torch.optim.Optimizer) -> list[Tensor]:
    """Returns for each device 1.0 if the last unscaled gradients of the optimizer were not finite, else 0.0."""
    return list(scaler._found_inf_per_device(optimizer).values())


def all_finite(gradients: Iterable[Tensor], device: torch.device) -> Tensor:
    """Returns whether all gradients are finite, on the device, by one kernel for each dtype."""
    # as in the gradient scaler; a factor of one changes no bit
    bad, one = torch.zeros((), device=device), torch.ones((), device=device)
    by_dtype: dict[torch.dtype, list[Tensor]] = {}
    for gradient in gradients:
        by_dtype.setdefault(gradient.dtype, []).append(gradient)
    for those in by_dtype.values():
        torch._amp_foreach_non_finite_check_and_unscale_(those, bad, one)
    return bad == 0


def storage_key(tensor: Tensor) -> int:
    """Returns a number that is equal for tensors with the same storage, as long as one of them lives."""
    return int(tensor.untyped_storage()._cdata)


def allocate_shared(size: int) -> torch.UntypedStorage:
    """Returns a storage of `size` bytes that processes share. Raises RuntimeError or OSError if there is no space."""
    storage: torch.UntypedStorage = torch.UntypedStorage._new_shared(size)
    return storage


def check_cpp_compiler() -> None:
    """Raises RuntimeError if torch.compile finds no C++ compiler for a CPU."""
    from torch._inductor.cpp_builder import get_cpp_compiler

    get_cpp_compiler()


def limit_recompiles(count: int) -> None:
    """Sets how many graphs torch.compile makes of one function before it returns to plain calls."""
    import torch._dynamo.config as limits

    limits.recompile_limit = limits.accumulated_recompile_limit = count


def is_compiled(network: nn.Module) -> bool:
    """Whether calling the network runs compiled code."""
    return network._compiled_call_impl is not None


MISSING = "operator torchvision::"
_declared: list[Any] = []  # torch drops the declarations when the library object is collected


def prepare_torchvision() -> None:
    """Imports torchvision. Its missing operators are declared only if the import fails without them."""
    try:
        importlib.import_module("torchvision")
    except RuntimeError as error:
        if MISSING not in str(error):
            raise
        _declare_operators()
        importlib.import_module("torchvision")


def import_timm() -> Any:
    """Imports and returns timm, even if torchvision was built for another torch."""
    prepare_torchvision()
    import timm

    return timm


def build_without_memory(build: Callable[[], T]) -> T:
    """Returns the result of `build`, with weights on torch's meta device; in memory if the network reads its
    first values.
    """
    try:
        with torch.device("meta"):
            return build()
    except (NotImplementedError, RuntimeError):
        return build()


def _declare_operators() -> None:
    import torch

    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[name]
    library = torch.library.Library("torchvision", "DEF")
    for operator in ("nms", "qnms"):
        library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _declared.append(library)
