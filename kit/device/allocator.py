"""Heap: while a network runs on a CPU, what one step frees stays with the process, for the next step to take.

glibc gives large blocks, and what is free at the heap's end, back to the system at once (mallopt(3)). A step's
activations are both, so that the kernel clears and maps their pages anew each time. On a GPU torch keeps them itself.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from kit.device import memory

TRIM_THRESHOLD, MMAP_THRESHOLD, MMAP_MAX = -1, -3, -4  # malloc.h
RETAIN_OPTIONS = ((MMAP_MAX, 0), (TRIM_THRESHOLD, -1))
# one that is set stops glibc from moving the others by what it sees: these are where its moving ends, 64-bit
DEFAULT_OPTIONS = ((MMAP_MAX, 65_536), (MMAP_THRESHOLD, 32 * 2**20), (TRIM_THRESHOLD, 64 * 2**20))


@contextmanager
def retain_freed_memory(device: torch.device) -> Iterator[None]:
    """Keeps what is freed until the block ends, then gives it back; nothing on a GPU, or without glibc.

    Where the environment says how glibc is to do (MALLOC_..., GLIBC_TUNABLES) that stands.
    """
    if device.type != "cpu" or not _is_ours():
        yield
        return
    _set(RETAIN_OPTIONS)
    try:
        yield
    finally:
        _set(DEFAULT_OPTIONS)
        memory.trim_heap()


def _is_ours() -> bool:
    told = [name for name in os.environ if name.startswith("MALLOC_") and name.endswith("_")]
    tuned = "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", "")
    return not told and not tuned and "CS_GNU_LIBC_VERSION" in getattr(os, "confstr_names", {})


def _set(options: Sequence[tuple[int, int]]) -> None:
    library = ctypes.CDLL(None)
    for name, value in options:
        library.mallopt(name, value)
