"""Slides: images that are too large to be read whole, the levels of their pyramids and the options for tiles."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SAMPLED = 8  # files whose levels are read
LEVEL_PIXELS = 50_000_000  # pixels of the suggested level: about 7,000 x 7,000


@dataclass(frozen=True)
class Slides:
    """The level of a pyramid to read, the sizes of some images at this level, and the finding in words."""

    level: int
    sizes: tuple[tuple[int, int], ...]  # width, height
    text: str


def find_slides(locations: Sequence[Path], max_pixels: int) -> Slides | None:
    """Returns the level of TIFFs that are pyramids or too large; None for other files, or without tifffile."""
    pyramids = [levels for location in locations[:SAMPLED] if (levels := _levels(location))]
    if not any(len(levels) > 1 or _pixels(levels[0]) > max_pixels for levels in pyramids):
        return None
    count = max(map(len, pyramids))
    level = next((at for at in range(count) if _largest(pyramids, at) <= LEVEL_PIXELS), count - 1)
    sizes = tuple(levels[min(level, len(levels) - 1)] for levels in pyramids)
    width, height = max((levels[0] for levels in pyramids), key=_pixels)
    text = f"slides of up to {width:,} x {height:,} pixels"
    if count > 1:
        wide, tall = max(sizes, key=_pixels)
        text += f"; level {level} of 0 to {count - 1} has up to {wide:,} x {tall:,}"
    return Slides(level, sizes, text)


def advise_tiles(sizes: Sequence[tuple[int, int]], max_pixels: int) -> tuple[str, ...]:
    """Returns a finding for images that are too large to be read whole, by some of their sizes; empty for others."""
    largest = max(map(_pixels, sizes), default=0)
    if largest <= max_pixels:
        return ()
    limit = 10 ** len(str(largest))
    return (
        f"images of up to {largest / 1e6:,.0f} million pixels: data.max_pixels={limit} allows them, and "
        "data.tiles.count=36 data.tiles.size=192 uses their tiles with most tissue",
    )


def _levels(location: Path) -> list[tuple[int, int]]:
    """Returns width and height of each level, the largest first; empty for a file that is not TIFF."""
    with suppress(Exception):  # reading the images reports their errors
        import tifffile

        with tifffile.TiffFile(location) as opened:
            return [_size(level) for level in opened.series[0].levels]
    return []


def _size(level: Any) -> tuple[int, int]:
    by_axis = dict(zip(level.axes, level.shape, strict=True))
    return int(by_axis["X"]), int(by_axis["Y"])


def _pixels(size: tuple[int, int]) -> int:
    return size[0] * size[1]


def _largest(pyramids: Sequence[Sequence[tuple[int, int]]], level: int) -> int:
    return max(_pixels(levels[min(level, len(levels) - 1)]) for levels in pyramids)
