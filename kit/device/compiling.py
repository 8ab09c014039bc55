"""compiling: torch.compile for the network that trains; its state and what predicts stay those of the plain one."""

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
    256  # one for each size of batch, image and frozen part; beyond its limit torch goes back to plain steps
)
COST = (
    "a minute or more for each batch size and image size; kit bench network --compile measures "
    "whether it pays off"
)


def check_compiler(device: torch.device) -> None:
    """Raises ConfigError C27 if torch.compile lacks what it needs to make kernels for a device."""
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
    """Raises ConfigError C27 without Triton, for a GPU that it makes no kernels for, or without a C compiler.

    Triton compiles what starts its kernels by the compiler in CC, else gcc or clang.
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
    """Makes the network's calls compiled ones, in place; its weights keep their names, and its copies are plain.

    A graph is made for each shape by itself: one for all would round otherwise after the second shape than before,
    and a resumed run would differ from one that was not stopped. Give it images by `compiled_input`: a graph is made
    for each dtype too.
    """
    limit_recompiles(RECOMPILE_LIMIT)
    network.compile(dynamic=False, backend=BACKEND)


def compiled_input(images: Tensor) -> Tensor:
    """The images as float32 for a compiled network: mixed ones are, and bytes would need a graph of their own.

    The network makes float32 of bytes in any case.
    """
    return images.float()
