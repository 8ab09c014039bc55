"""Memory of a device: free memory, a learner's memory, out-of-memory errors, and copies to the host.

On a CPU, freed memory may be returned to the system or stay with the process for the next step. By default
glibc returns large blocks, and free memory at the heap's end, at once (mallopt(3)). A step's activations are
of both kinds, so the kernel clears and maps their pages again at each step. On a GPU torch caches them
itself.
"""

from __future__ import annotations

import ctypes
import gc
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from kit.device import ranks
from kit.device.ranks import NCCL_OOM_TEXTS
from kit.device.torch_internals import storage_key

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from kit.engine.learner import Learner

# messages of torch, cuBLAS, cuDNN and C++; on a CPU it is a plain RuntimeError
_WORDS = (
    "can't allocate memory",
    "out of memory",
    "ALLOC_FAILED",
    "std::bad_alloc",
    "not enough memory",
    *NCCL_OOM_TEXTS,
)
# messages of cuDNN and cuBLAS without memory for themselves, and in other cases
_GPU = (
    "unable to find an engine to execute this computation",
    "Unable to find a valid cuDNN algorithm",
    "CUBLAS_STATUS_NOT_INITIALIZED",
    "CUDNN_STATUS_NOT_INITIALIZED",
    "CUDNN_STATUS_EXECUTION_FAILED",
    "CUDNN_STATUS_INTERNAL_ERROR",
)
_ONEDNN = ("could not create a primitive", "could not create a memory")  # the same message for all reasons
LOW_MEMORY_BYTES = 512 * 2**20  # free bytes below which such a library lacks memory
_GROUP = Path("/sys/fs/cgroup")  # version 2, and 1
_GROUPS = (
    (_GROUP / "memory.max", _GROUP / "memory.current"),
    (_GROUP / "memory/memory.limit_in_bytes", _GROUP / "memory/memory.usage_in_bytes"),
)
_UNLIMITED = 2**60  # a cgroup without a limit reports a number beyond any machine's memory


@dataclass(frozen=True)
class DeviceMemory:
    """Bytes of a device: those that this process has taken, and those that it can still get."""

    taken: int
    free: int

    def __str__(self) -> str:
        return f"{format_mebibytes(self.taken)} used, {format_mebibytes(self.free)} free"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on a GPU or on the CPU."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    if not isinstance(error, RuntimeError):
        return False
    if any(phrase in str(error) for phrase in _ONEDNN):
        return device_memory(torch.device("cpu")).free < LOW_MEMORY_BYTES
    if any(phrase in str(error) for phrase in _GPU):
        return torch.cuda.is_available() and device_memory(torch.device("cuda")).free < LOW_MEMORY_BYTES
    return any(phrase in str(error) for phrase in _WORDS)


def device_memory(device: torch.device) -> DeviceMemory:
    """Returns the memory of a device as it is now.

    On a CPU it is the minimum of three limits: the machine's available memory, the limit of the process's
    control group, and the rest of the address space (ulimit -v). The ranks on the machine share it. Linux
    kills a process that takes more, without an error.
    """
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        allocated, reserved = torch.cuda.memory_allocated(device), torch.cuda.memory_reserved(device)
        return DeviceMemory(allocated, free + reserved - allocated)
    if device.type == "mps":  # the memory is the machine's, of which torch takes this much at peak_during
        allocated, reserved = torch.mps.current_allocated_memory(), torch.mps.driver_allocated_memory()
        return DeviceMemory(
            allocated, max(0, torch.mps.recommended_max_memory() - reserved) + max(0, reserved - allocated)
        )
    status = _numbers(Path("/proc/self/status"))
    return DeviceMemory(
        status.get("VmRSS", _most_resident()), max(0, min(_free_bytes(status))) // ranks.local_world_size()
    )


def peak_bytes(device: torch.device) -> int:
    """Returns the maximum of bytes that this process has held: on a GPU in tensors, on a CPU in all."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    if device.type == "mps":  # which keeps what it once had
        return int(torch.mps.driver_allocated_memory())
    return _numbers(Path("/proc/self/status")).get("VmHWM", _most_resident())


def _most_resident() -> int:
    """Returns the maximum of this process's resident memory in bytes; 0 on Windows."""
    if resource is None:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak) * (1 if sys.platform == "darwin" else 1024)  # Linux counts in KiB, macOS in bytes


def _total() -> int:
    """Returns the bytes of this machine's memory, if the system reports it."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return _UNLIMITED


def _free_bytes(status: Mapping[str, int]) -> Iterable[int]:
    there = _numbers(Path("/proc/meminfo"))
    yield there["MemAvailable"] if "MemAvailable" in there else _total() - _most_resident()
    for limit, used in _GROUPS:
        try:
            most, now = int(limit.read_text()), int(used.read_text())
        except (OSError, ValueError):  # no such group, or "max"
            continue
        yield most - now + _reclaimable(limit) if most < _UNLIMITED else _UNLIMITED
    if resource is not None:
        space, _ = resource.getrlimit(resource.RLIMIT_AS)
        if space != resource.RLIM_INFINITY:
            yield space - status.get("VmSize", 0)


def _reclaimable(limit: Path) -> int:
    """Returns the file cache that a control group counts as used, and that can be reclaimed."""
    try:
        lines = (limit.parent / "memory.stat").read_text().splitlines()
    except OSError:
        return 0
    counters = dict(line.split(maxsplit=1) for line in lines if " " in line)
    return int(counters.get("inactive_file", counters.get("total_inactive_file", 0)))


def _numbers(file: Path) -> dict[str, int]:
    """Returns the lines `Name: 123 kB` of a file of /proc, in bytes; empty if the file does not exist."""
    try:
        lines = file.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return {}
    pairs = [line.split(":", 1) for line in lines if line.endswith(" kB")]
    return {name: int(value.split()[0]) * 1024 for name, value in pairs}


def learner_bytes(learner: Learner) -> dict[str, int]:
    """Returns the bytes of a learner between steps and in one, by part. Tensors that share memory count once."""
    network = learner.network
    gradients = [weight.grad for weight in network.parameters() if weight.grad is not None]
    states = [value for state in learner.optimizer.state.values() for value in state.values()]
    average = learner.average.module.state_dict().values() if learner.average is not None else ()
    return {
        "weights": storage_bytes([*network.parameters(), *network.buffers()]),
        "gradients": storage_bytes(gradients),
        "optimizer": storage_bytes(value for value in states if isinstance(value, Tensor)),
        "average": storage_bytes(average),
    }


def storage_bytes(tensors: Iterable[Tensor]) -> int:
    """Returns the bytes of the storages of tensors, each counted once."""
    storages = {storage_key(tensor): tensor.untyped_storage().nbytes() for tensor in tensors}
    return sum(storages.values())


def empty_cache(device: torch.device) -> None:
    """Frees cached memory that no tensor holds any more, such as that of a failed step."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()
    else:
        trim_heap()


def trim_heap() -> None:
    """Returns freed memory that the C library has cached to the system, if possible."""
    with suppress(
        OSError, AttributeError, TypeError
    ):  # the last on Windows, which has no library without a name
        ctypes.CDLL(None).malloc_trim(0)


def wait_for(device: torch.device) -> None:
    """Waits until a device has finished its queue, so that a clock includes it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def peak_during(device: torch.device, work: Callable[[], object]) -> int | None:
    """Returns the maximum of additional bytes while `work` runs; None if the system does not report it."""
    empty_cache(device)  # otherwise cached memory would serve the work without being measured
    if device.type == "cuda":
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        work()
        return torch.cuda.max_memory_allocated(device) - before
    if device.type != "cpu":
        return None
    try:
        with Path("/proc/self/clear_refs").open("wb") as kernel:
            kernel.write(b"5")  # the high-water mark is reset (proc(5))
    except OSError:
        return None
    before = _numbers(Path("/proc/self/status")).get("VmRSS", 0)
    work()
    return _numbers(Path("/proc/self/status")).get("VmHWM", 0) - before


def format_mebibytes(count: float) -> str:
    """Returns bytes in words, such as `512 MiB` or `1.9 GiB`."""
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.3g} MiB"


def describe_parts(parts: Mapping[str, int]) -> str:
    """Returns parts in words, without empty ones: `weights 43 MiB, gradients 43 MiB`."""
    return ", ".join(f"{name} {format_mebibytes(count)}" for name, count in parts.items() if count)


TRIM_THRESHOLD, MMAP_THRESHOLD, MMAP_MAX = -1, -3, -4  # malloc.h
RETAIN_OPTIONS = ((MMAP_MAX, 0), (TRIM_THRESHOLD, -1))
# a set value stops glibc from adapting the others: these are the limits of its adaptation, 64-bit
DEFAULT_OPTIONS = ((MMAP_MAX, 65_536), (MMAP_THRESHOLD, 32 * 2**20), (TRIM_THRESHOLD, 64 * 2**20))


@contextmanager
def retain_freed_memory(device: torch.device) -> Iterator[None]:
    """Retains freed memory until the block ends, then returns it. It does nothing on a GPU, or without glibc.

    If the environment configures glibc (MALLOC_..., GLIBC_TUNABLES), that has priority.
    """
    if device.type != "cpu" or not _is_malloc_untuned():
        yield
        return
    _set_malloc(RETAIN_OPTIONS)
    try:
        yield
    finally:
        _set_malloc(DEFAULT_OPTIONS)
        trim_heap()


def _is_malloc_untuned() -> bool:
    malloc_variables = [name for name in os.environ if name.startswith("MALLOC_") and name.endswith("_")]
    tuned = "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", "")
    return not malloc_variables and not tuned and "CS_GNU_LIBC_VERSION" in getattr(os, "confstr_names", {})


def _set_malloc(options: Sequence[tuple[int, int]]) -> None:
    library = ctypes.CDLL(None)
    for name, value in options:
        library.mallopt(name, value)


Fill = Callable[[np.ndarray], None]


class HostCopies:
    """Passes each batch's results to a function as an array: a GPU's when the next batch is queued, a CPU's at once.

    Reading the results of the batch that was just queued would leave the GPU idle until the next one.
    """

    def __init__(self) -> None:
        self._waiting: tuple[Tensor, Any, Fill] | None = None

    def add(self, results: Tensor, fill: Fill) -> None:
        """Queues the copy of a batch's results, and passes on the previous batch."""
        if results.device.type == "cpu":
            fill(results.numpy())
            return
        queued = (*_queue_copy(results), fill)
        self.finish()
        self._waiting = queued

    def finish(self) -> None:
        """Passes on the rest, after the last batch."""
        if self._waiting is not None:
            host, copied, fill = self._waiting
            self._waiting = None
            if copied is not None:
                copied.synchronize()
            fill(host.cpu().numpy())


def _queue_copy(results: Tensor) -> tuple[Tensor, Any]:
    """Returns the results' copy in page-locked memory, and the event after which it is complete; on MPS the
    results, None.
    """
    if results.device.type != "cuda":
        return results, None
    host = torch.empty(results.shape, dtype=results.dtype, pin_memory=True)
    host.copy_(results, non_blocking=True)
    copied = torch.cuda.Event()
    copied.record()
    return host, copied
