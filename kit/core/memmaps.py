"""Large arrays in unnamed files, whose pages the system may reclaim while memory is short."""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kit.core.files import disk_full_as_error

MEMMAP_FROM_BYTES = 2**26  # bytes from which an array is kept in a file; 30 x 100,000 x 18 float32 are 216 MB
MEMMAP_FROM_BYTES_PER_MEMBER = 2**25  # the same for arrays of which each member has one


def empty_or_memmap(shape: Sequence[int], folder: Path, large: int = MEMMAP_FROM_BYTES) -> np.ndarray:
    """Returns an uninitialised float32 array.

    A large one is mapped to a file in `folder` that is deleted with the array.

    Raises RunError if the disk is full, because writing to a map without disk space would end the process.
    """
    count = int(np.prod(shape))
    if 4 * count < max(large, 1):
        return np.empty(tuple(shape), dtype=np.float32)
    folder.mkdir(parents=True, exist_ok=True)
    with disk_full_as_error(folder, 4 * count), tempfile.TemporaryFile(dir=folder) as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, 4 * count)
        else:
            file.truncate(4 * count)
        mapped = np.memmap(file, dtype=np.float32, mode="r+", shape=tuple(shape))
    return np.asarray(mapped)


def drop_pages(array: np.ndarray) -> None:
    """Frees the memory of a mapped array's pages. They are read again from the file when they are used."""
    base: object = array
    is_private = False
    while isinstance(base, np.ndarray):
        is_private |= isinstance(base, np.memmap) and base.mode == "c"
        base = base.base
    # pages that are private to the process would lose their changes
    if isinstance(base, mmap.mmap) and not is_private and hasattr(mmap, "MADV_DONTNEED"):
        base.madvise(mmap.MADV_DONTNEED)
