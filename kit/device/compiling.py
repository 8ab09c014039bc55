"""compiling: torch.compile for the network that trains; its state and what predicts stay those of the plain one."""

from __future__ import annotations

import torch
from torch import nn

from kit.device.torch_internals import check_cpp_compiler, limit_recompiles
from kit.errors import ConfigError

BACKEND = "inductor"
RECOMPILE_LIMIT = (
    256  # one for each size of batch, image and frozen part; beyond its limit torch goes back to plain steps
)
COST = (
    "a minute or more for each batch size and image size; kit bench network --compile measures "
    "whether it pays off"
)


def check_compiler(device: torch.device) -> None:
    """Raises ConfigError C27 where torch.compile needs a C++ compiler and finds none."""
    if device.type != "cpu":
        return  # a GPU's kernels are made by Triton, which comes with torch
    try:
        check_cpp_compiler()
    except RuntimeError:
        raise ConfigError(
            "compile=true needs a C++ compiler on a CPU, and kit found none",
            code="C27",
            hint="install g++, name a compiler in CXX, or set compile=false",
        ) from None


def compile_training(network: nn.Module) -> None:
    """Makes the network's calls compiled ones, in place; its weights keep their names, and its copies are plain.

    A graph is made for each shape by itself: one for all would round otherwise after the second shape than before,
    and a resumed run would differ from one that was not stopped.
    """
    limit_recompiles(RECOMPILE_LIMIT)
    network.compile(dynamic=False, backend=BACKEND)
