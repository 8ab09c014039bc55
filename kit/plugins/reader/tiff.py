"""TIFF files of any number of channels and bits, and levels of pyramids."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar

import numpy as np
from pydantic import Field

from kit.core.image_files import read_image_bytes
from kit.errors import DataError
from kit.images.tiles import join_streamed
from kit.plugins.reader._arrays import ArrayReader, check_size
from kit.plugins.reader._records import check_bytes

if TYPE_CHECKING:
    from kit.config.models import Data
    from kit.kinds.reader import Record

MEMORY_ROWS = 256  # rows of an uncompressed image that are read at a time
Opened = TypeVar("Opened")


class Tiff(ArrayReader):
    """TIFF files with more than three channels or 8 bits, and levels of pyramids such as slides of microscopes.

    `level` 0 is the full size. With `min_side` it is the smallest level whose short side has that many
    pixels.

    Source: tifffile; compressed files also need imagecodecs.
    """

    package: ClassVar[str] = "tifffile"
    extra: ClassVar[str] = "arrays"
    endings: ClassVar[tuple[str, ...]] = (".tif", ".tiff", ".svs", ".ome.tif")
    axes: Literal["auto", "hwc", "chw"] = Field(
        "hwc", description="order of the axes; the file's own names make it height, width and channels"
    )
    page: int = Field(0, ge=0, description="image of the file, counted from 0")
    level: int = Field(
        0, ge=0, description="level of a pyramid, 0 is the largest; the last one if there are fewer"
    )
    min_side: int | None = Field(
        None, ge=1, description="instead of level: the smallest level whose short side has so many pixels"
    )

    def load(self, file: Path, key: str) -> Record:
        if key:
            return super().load(file, key)
        return self._with_file(file, self._array)

    def load_tiles(self, file: Path, key: str, data: Data) -> Record | None:
        """Reads a level part by part, if it has 8 bits and interleaved channels, because slides are too large
        for the memory.
        """
        return (
            None
            if key or self.range or self.percentiles
            else self._with_file(file, partial(self._tiles, data))
        )

    def _with_file(self, file: Path, read: Callable[[Any], Opened]) -> Opened:
        """Returns the result of `read` for the opened file. Raises DataError D01 to D15."""
        import tifffile

        if not read_image_bytes(file, 4).startswith((b"II", b"MM")):
            raise DataError(f"not a TIFF: begins with {read_image_bytes(file, 12)!r}", code="D06")
        try:
            with tifffile.TiffFile(file) as opened:
                return read(opened)
        except (DataError, MemoryError):
            raise
        except Exception as error:  # any error of the parser
            text = (str(error) or type(error).__name__).splitlines()[0]
            if "imagecodecs" in text:
                raise DataError(
                    f"unsupported format: TIFF whose compression needs imagecodecs ({text})", code="D13"
                ) from None
            raise DataError(f"corrupt TIFF: {text}", code="D05") from None

    def _level(self, opened: Any) -> Any:
        """Returns the series of pages that `page`, `level` and `min_side` choose."""
        if self.page >= len(opened.series):
            raise DataError(f"has {len(opened.series)} images, and no number {self.page} (page)", code="D12")
        levels = opened.series[self.page].levels
        chosen = levels[min(self.level, len(levels) - 1)]
        if self.min_side is not None:
            large = [level for level in levels if _short_side(level) >= self.min_side]
            chosen = large[-1] if large else levels[0]
        return chosen

    def _tiles(self, data: Data, opened: Any) -> np.ndarray | None:
        """Returns the mosaic of the tiles of `data.tiles`, or None if the image has to be read whole."""
        level = self._level(opened)
        page = level.keyframe
        is_plain = level.axes in ("YXS", "YX") and page.photometric in (1, 2, 6) and not self.take
        if len(level.pages) != 1 or not is_plain or page.dtype != np.uint8 or page.planarconfig != 1:
            return None
        height, width = level.shape[:2]
        check_size(level.shape, data.max_pixels)
        return join_streamed(_bands(opened, level, page), height, width, data.tiles)

    def _array(self, opened: Any) -> np.ndarray:
        """Returns the image as (rows, columns) or (rows, columns, channels)."""
        chosen = self._level(opened)
        check_bytes(int(chosen.nbytes), sum(sum(page.databytecounts) for page in chosen.pages if page))
        values, axes = chosen.asarray(), chosen.axes
        order = [axes.index(axis) for axis in "YX" if axis in axes]
        rest = [number for number in range(values.ndim) if number not in order and values.shape[number] > 1]
        if len(order) != 2 or len(rest) > 1:
            raise DataError(f"an array of the axes {axes} {values.shape} is no image", code="D15")
        others = [number for number in range(values.ndim) if number not in order and number not in rest]
        pixels: np.ndarray = values.transpose([*order, *rest, *others])
        pixels = pixels.reshape(pixels.shape[: 2 + len(rest)])
        is_white_zero = int(getattr(opened.pages[0], "photometric", 1)) == 0
        if is_white_zero and pixels.dtype.kind == "u":
            pixels = np.iinfo(pixels.dtype).max - pixels
        return pixels


def _bands(opened: Any, level: Any, page: Any) -> Iterator[np.ndarray]:
    """Yields a level's rows from top to bottom, as many at a time as its strips or tiles have."""
    height, width, channels = (*level.shape, 1)[:3]
    if level.dataoffset is not None:  # pixels as they are, one row after another
        shape = (height, width, channels)
        stored = np.memmap(opened.filehandle.path, np.uint8, "r", level.dataoffset, shape)
        for top in range(0, height, MEMORY_ROWS):
            yield np.asarray(stored[top : top + MEMORY_ROWS])
        return
    band, start = np.zeros((0, width, channels), np.uint8), 0
    for segment, (_, _, top, left, _), shape in page.segments(maxworkers=1):
        rows, columns = min(shape[1], height - top), min(shape[2], width - left)
        if left == 0:
            if len(band):
                yield band
            band, start = np.full((rows, width, channels), page.nodata, np.uint8), top
        if segment is not None and top == start:
            band[:, left : left + columns] = segment[0, :rows, :columns]
    yield band


def _short_side(level: Any) -> int:
    return min(int(length) for axis, length in zip(level.axes, level.shape, strict=True) if axis in "YX")
