"""Tiles: joins the parts of a large image with most tissue into one square picture.

Source: the 1st place of PANDA (Kaggle 2020), which joined the darkest tiles of a slide.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from kit.core.arrays import Pixels
from kit.core.pixel_types import WHITE
from kit.errors import DataError

if TYPE_CHECKING:
    from kit.config.models import TileChoice


def join_tiles(image: Pixels, tiles: TileChoice) -> np.ndarray:
    """Returns the picture of an image's tiles, (side, side, channels) with side = sqrt(count) * size pixels.

    Works as `join_streamed` on an image in memory.
    """
    height, width, _ = image.shape
    return join_streamed([image], height, width, tiles)


def join_streamed(bands: Iterable[Pixels], height: int, width: int, tiles: TileChoice) -> np.ndarray:
    """Returns the picture of the tiles of an image that comes as bands of rows, from top to bottom.

    The grid covers the image, which is centred, with white around it. The picture has its tiles row by row,
    the best one first; tiles of equal rank have the order of the image. If the image has fewer tiles than the
    picture, the others are white. Only one row of tiles and those of the picture are in memory. Raises
    DataError D15 if the bands do not form an image of this size, or if colours are requested and there is one
    channel.
    """
    best: list[
        tuple[float, int, np.ndarray]
    ] = []  # a heap by negative rank and position: the worst is the first
    index, channels, kind = 0, 3, np.dtype(np.uint8)
    for row in _rows_of_tiles(bands, height, width, tiles.size):
        channels, kind = row.shape[3], row.dtype
        for tile, rank in zip(row, _ranks(row, tiles), strict=True):
            entry = (-rank.item(), -index, tile)
            index += 1
            if len(best) < tiles.count:
                heapq.heappush(best, (*entry[:2], tile.copy()))
            elif entry[:2] > best[0][:2]:
                heapq.heapreplace(best, (*entry[:2], tile.copy()))
    side, size = math.isqrt(tiles.count), tiles.size
    picture = np.full((side, size, side, size, channels), WHITE[kind.name], kind)
    for number, (_, _, tile) in enumerate(sorted(best, key=lambda ranked: ranked[:2], reverse=True)):
        picture[number // side, :, number % side] = tile
    return picture.reshape(side * size, side * size, channels)


def _rows_of_tiles(bands: Iterable[Pixels], height: int, width: int, size: int) -> Iterator[np.ndarray]:
    """Yields each row of the grid, (tiles, size, size, channels)."""
    count, down = -(-width // size), -(-height // size)
    left, filled, total = (count * size - width) // 2, (down * size - height) // 2, 0
    row: np.ndarray | None = None
    for band in bands:
        if row is None:
            row = np.full((size, count * size, band.shape[2]), WHITE[band.dtype.name], band.dtype)
        at = 0
        while at < len(band):
            copied = min(size - filled, len(band) - at)
            row[filled : filled + copied, left : left + width] = band[at : at + copied]
            filled, at = filled + copied, at + copied
            if filled == size:
                yield _cut(row, size)
                row[:], filled = WHITE[row.dtype.name], 0
        total += len(band)
    if row is None or total != height:
        raise DataError(f"has {total} rows of pixels, not {height}", code="D15")
    if filled:
        yield _cut(row, size)


def _cut(row: np.ndarray, size: int) -> np.ndarray:
    return row.reshape(size, -1, size, row.shape[2]).swapaxes(0, 1)


def _ranks(row: np.ndarray, tiles: TileChoice) -> np.ndarray:
    """Returns a number per tile, which is lower for one with more tissue."""
    if tiles.rank == "dark":
        sums: np.ndarray = row.sum(axis=(1, 2, 3), dtype=_sum_type(row))
        return sums
    if row.shape[3] == 1:
        raise DataError("has one channel, and no colours to rank tiles by (data.tiles.rank)", code="D15")
    differences = row.max(axis=3).astype(_sum_type(row)) - row.min(axis=3)
    ranks: np.ndarray = -differences.sum(axis=(1, 2))
    return ranks


def _sum_type(row: np.ndarray) -> type:
    return np.float64 if row.dtype.kind == "f" else np.int64
