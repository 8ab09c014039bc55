"""compiling: torch.compile for the network that trains. Its state, and the network that predicts, stay plain."""

from __future__ import annotations

import os
import shutil
from importlib.util import find_spec

import torch
from torch import Tensor, nn

from kit.device.torch_internals import check_cpp_compiler, limit_recompiles
from kit.errors import ConfigError

TRITON_CAPABILITY = (7, 0)  # the lowest compute capability that it makes kernels for
BACKEND = "inductor"
RECOMPILE_LIMIT = (
    256  # one for each size of batch, image and frozen part; beyond its limit torch returns to plain steps
)
COST = (
    "a minute or more for each batch size and image size; kit bench network --compile measures "
    "whether it pays off"
)


def check_compiler(device: torch.device) -> None:
    """Raises ConfigError C27 if torch.compile lacks a requirement for kernels of a device."""
    if device.type == "cuda":
        _check_triton(device)
    if device.type != "cpu":
        return
    try:
        check_cpp_compiler()
    except RuntimeError:
        raise ConfigError(
            "compile=true needs a C++ compiler on a CPU, and kit found none",
            code="C27",
            hint="install g++, name a compiler in CXX, or set compile=false",
        ) from None


def _check_triton(device: torch.device) -> None:
    """Raises ConfigError C27 without Triton, for a GPU that Triton does not support, or without a C compiler.

    Triton compiles its launchers by the compiler in CC, else gcc or clang.
    """
    missing, hint = "", ""
    if find_spec("triton") is None:
        missing, hint = "needs Triton on a GPU, and it is not installed", "pip install triton"
    elif not torch.version.hip and torch.cuda.get_device_capability(device) < TRITON_CAPABILITY:
        wanted = ".".join(map(str, TRITON_CAPABILITY))
        missing, hint = f"needs a GPU of compute capability {wanted} or more", "another GPU"
    elif "CC" not in os.environ and not (shutil.which("gcc") or shutil.which("clang")):
        missing = "needs a C compiler on a GPU, and kit found none"
        hint = "install gcc, name a compiler in CC"
    if missing:
        raise ConfigError(f"compile=true {missing}", code="C27", hint=f"{hint}, or set compile=false")


def compile_training(network: nn.Module) -> None:
    """Compiles the network's calls in place. Its weights keep their names, and its copies are plain.

    Each shape has its own graph. A graph for all shapes would round differently after the second shape than
    before, and a resumed run would differ from an uninterrupted one. Pass images by `compiled_input`, because
    each dtype has its own graph too.
    """
    limit_recompiles(RECOMPILE_LIMIT)
    network.compile(dynamic=False, backend=BACKEND)


def compiled_input(images: Tensor) -> Tensor:
    """Returns the images as float32 for a compiled network, because mixed ones are, and bytes would need another graph.

    The network converts bytes to float32 in any case.
    """
    return images.float()
