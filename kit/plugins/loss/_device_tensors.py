"""Tensors that a loss needs in each step, created once per device.

Converting a list of 10,000 classes in each step costs 8 ms, and the copy waits for the GPU.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import torch
    from torch import Tensor

T = TypeVar("T")
# by the identity of the owner, because many plugins may be equal, and comparing their fields is slow
_MADE: dict[int, dict[Any, Any]] = {}


def once(owner: object, key: Hashable, make: Callable[[], T]) -> T:
    """Returns the result of `make`, the same object for the life of its owner."""
    cached = _MADE.get(id(owner))
    if cached is None:
        cached = _MADE[id(owner)] = {}
        weakref.finalize(owner, _MADE.pop, id(owner), None)
    if key not in cached:
        cached[key] = make()
    value: T = cached[key]
    return value


def device_tensor(owner: object, name: str, device: torch.device, values: Callable[[], Any]) -> Tensor:
    """Returns a tensor of `values()` on a device, created once."""
    import torch

    def make() -> Tensor:
        with torch.inference_mode(
            False
        ):  # some commands predict first, and training cannot use tensors of inference mode
            return torch.tensor(values(), device=device)

    return once(owner, (name, device), make)
