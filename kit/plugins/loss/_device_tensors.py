"""Tensors that a loss needs in each step, made once for each device.

A list that becomes a tensor in each step costs 8 ms for 10,000 classes, and a GPU is waited for while it is copied.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import torch
    from torch import Tensor

T = TypeVar("T")
# by the identity of the owner: equal plugins may be many, and their fields are long to compare
_MADE: dict[int, dict[Any, Any]] = {}


def once(owner: object, key: Hashable, make: Callable[[], T]) -> T:
    """What `make` gives, the same object as long as its owner lives."""
    made = _MADE.get(id(owner))
    if made is None:
        made = _MADE[id(owner)] = {}
        weakref.finalize(owner, _MADE.pop, id(owner), None)
    if key not in made:
        made[key] = make()
    found: T = made[key]
    return found


def device_tensor(owner: object, name: str, device: torch.device, values: Callable[[], Any]) -> Tensor:
    """A tensor of `values()` on a device, made once."""
    import torch

    def make() -> Tensor:
        with torch.inference_mode(
            False
        ):  # predictions come first in some commands, and training cannot use theirs
            return torch.tensor(values(), device=device)

    return once(owner, (name, device), make)
