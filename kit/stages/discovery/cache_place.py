"""Chooses the folder of kit init for the cache of decoded images: one with enough space, on Kaggle a temporary one."""

from __future__ import annotations

import os
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kit.config.workspace import SHARED_CACHE
from kit.core import kaggle_folders
from kit.core.files import format_bytes, free_space
from kit.images.cache import Geometry

CACHE = "cache"  # in the workspace, the default of cache_folder
TEMPORARY = "kit-cache"  # in Kaggle's temporary folder
MAX_SHARE = 0.5  # share of the free space, because runs need space too


@dataclass(frozen=True)
class CachePlace:
    """The value of `cache_folder`, and the line of kit init on it."""

    folder: str
    finding: str


def choose_cache_folder(root: Path, needed: int) -> CachePlace:
    """Returns the folder for a workspace's cache of this many bytes.

    On Kaggle it is in the temporary folder if it fits there, because the working folder is saved with the
    notebook.
    """
    if os.environ.get(SHARED_CACHE):
        return CachePlace(CACHE, f"cache: about {format_bytes(needed)} in {SHARED_CACHE}")
    places = [(CACHE, root / CACHE, "")]
    temp = kaggle_folders.temp_folder()
    if temp is not None and root.is_relative_to(os.path.realpath(temp.parent)):
        places.insert(0, (str(temp / TEMPORARY), temp / TEMPORARY, ", which Kaggle does not keep"))
    for name, folder, note in places:
        free = free_space(folder)
        if needed <= MAX_SHARE * free:
            return CachePlace(
                name, f"cache: about {format_bytes(needed)} in {folder}{note} ({format_bytes(free)} are free)"
            )
    return CachePlace(
        CACHE,
        f"cache: about {format_bytes(needed)}, too much for {root} ({format_bytes(free_space(root))} are free): "
        "a smaller cache_size, or cache_folder=FOLDER on another disk",
    )


def estimate_cache(sizes: Sequence[tuple[int, int]], geometry: Geometry, images: int) -> int:
    """Returns the bytes of a cache of this many images, by the widths and heights of some of them."""
    shapes = [max(pair) / max(min(pair), 1) for pair in sizes] if geometry.resize == "short_side" else []
    ratio = statistics.median(shapes) if shapes else 1.0
    return round(3 * geometry.cache_size**2 * ratio * images)
