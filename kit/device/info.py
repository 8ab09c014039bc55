"""What a device is, in words, and why torch cannot use one that the machine has."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch

from kit.core.cores import available_cores
from kit.core.progress import Progress
from kit.device import ranks

if TYPE_CHECKING:
    from kit.device.precision import Precision

DEVICE = "device"  # the task of the line
# what NVIDIA's driver leaves on Linux, in Docker, on WSL and on Windows; nvidia-smi alone may lack a driver
DRIVER_FILES = (
    Path("/dev/nvidiactl"),
    Path("/dev/nvidia0"),
    Path("/proc/driver/nvidia/version"),
    Path("/usr/lib/wsl/lib/libcuda.so.1"),
    Path(os.environ.get("SYSTEMROOT", "/nonexistent"), "System32", "nvcuda.dll"),
)


def device_line(
    device: torch.device,
    precision: Precision,
    workers: int | Literal["auto"],
    trains: bool = True,
    ranks: int = 1,
) -> Progress:
    """The line that every command shows before it computes: nothing falls back to the CPU in silence."""
    text = describe(device, precision, worker_count(workers, device), trains)
    return Progress(DEVICE, 0, 1, f"{text}, {ranks} ranks" if ranks > 1 else text, True)


def describe(device: torch.device, precision: Precision, workers: int, trains: bool) -> str:
    """A device, its dtype and memory format, and the loader processes beside it."""
    dtype = precision.train if trains else precision.predict
    if trains and precision.predict != precision.train:
        dtype += f" (predicting in {precision.predict})"
    return ", ".join([name_of(device), dtype, precision.layout, f"{workers} loader processes"])


def name_of(device: torch.device) -> str:
    """A device and what it is: `cuda:0 Tesla T4`, or `cpu with 4 threads`."""
    if device.type == "cuda":
        index = torch.cuda.current_device() if device.index is None else device.index
        return f"cuda:{index} {torch.cuda.get_device_name(index)}"
    if device.type == "cpu":
        threads = torch.get_num_threads()
        return f"cpu with {threads} thread{'s' * (threads > 1)}"
    return str(device)


def unusable_gpu() -> str | None:
    """Why torch cannot use the NVIDIA GPU of this machine; None if it can, if there is none, or if it is hidden."""
    if torch.cuda.is_available() or os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1", "NoDevFiles"):
        return None
    return no_cuda_because() if any(file.exists() for file in DRIVER_FILES) else None


def no_cuda_because() -> str:
    """torch's own reason why it has no CUDA device, and what it was built for."""
    if torch.version.cuda is None and torch.version.hip is None:
        return f"torch {torch.__version__} is built without CUDA"
    try:
        torch.cuda.init()
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        return f"{reason.rstrip('.')}; torch {torch.__version__} is built for CUDA {torch.version.cuda}"
    return "torch sees no GPU"


def no_kernels_for(device: torch.device) -> str:
    """That torch was built without kernels for a card, with what it was built for."""
    major, minor = torch.cuda.get_device_capability(device)
    built = ", ".join(torch.cuda.get_arch_list())
    return (
        f"torch {torch.__version__} has no kernels for {name_of(device)} (sm_{major}{minor}), but for {built}"
    )


def worker_count(workers: int | Literal["auto"], device: torch.device | None = None) -> int:
    """Loader processes for a config's `workers` beside a network on a device, by default the CPU.

    By default none on up to four cores without a GPU: the network uses them all, loading costs it 2 % of its time
    (resnet18 at 128 px on 2 cores: 120 images/s of 122), and a process beside it 5 %. Up to 8 beside a GPU. Ranks
    on one machine share its cores.
    """
    if workers != "auto":
        return workers
    mine = max(1, available_cores() // ranks.local_world_size())
    if device is not None and device.type != "cpu":
        return min(8, max(1, mine - 1))
    return 0 if mine <= 4 else max(1, mine // 8)
