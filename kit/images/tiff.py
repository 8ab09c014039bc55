"""Finds the image in a TIFF: its page and its bands, and checks that its parts are complete (TIFF 6.0)."""

from __future__ import annotations

import functools
import itertools
import zlib
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

from kit.errors import DataError
from kit.images import complete

if TYPE_CHECKING:
    from PIL.Image import Image

_REDUCED, _BITS, _COMPRESSION, _OFFSETS, _BANDS, _SIZES = 254, 258, 259, 273, 277, 279
_TILE_OFFSETS, _TILE_SIZES, _PARTS, _EXTRA, _DNG_VERSION = 324, 325, 330, 338, 50706
_JPEG_TABLES = 347
_JPEG, _DEFLATE, _OLD_DEFLATE, _PACKBITS = 7, 8, 32946, 32773
_RARE_COMPRESSIONS = {
    33003: "JPEG 2000",
    33005: "JPEG 2000",
    34712: "JPEG 2000",
    34887: "LERC",
    50001: "WebP",
    50002: "JPEG XL",
    52546: "JPEG XL",
}
_COLOURS = {0: 1, 1: 1, 2: 3, 3: 1, 4: 1, 5: 4, 6: 3, 8: 3}  # bands by PhotometricInterpretation
_RAW = "unsupported format: raw camera file (convert it to JPEG or PNG, for example with rawpy)"


def seek_page(image: Image, page: int | None) -> None:
    """Goes to a page. Raises DataError D12 if the config does not name an existing one."""
    pages = _pages(image)
    if pages > 1 and page is None:
        raise DataError(f"multi-page TIFF ({pages} pages; data.page=0 uses the first)", code="D12")
    if page:
        if page >= pages:
            raise DataError(f"TIFF with {pages} pages, which has no page {page} (data.page)", code="D12")
        try:
            image.seek(page)
        except Exception as error:  # any error of Pillow's parsers
            raise DataError(f"corrupt TIFF: {error}", code="D05") from None


def _pages(image: Image) -> int:
    """Returns the number of pages. Raises DataError D05 if a later one is damaged."""
    try:
        return int(getattr(image, "n_frames", 1))
    except Exception as error:  # any error of Pillow's parsers
        raise DataError(f"corrupt TIFF: {error}", code="D05") from None


def refuse_raw(image: Image, content: bytes) -> None:
    """Raises DataError D13 for a raw camera file, whose first page is a preview."""
    tags = _tags(image)
    is_preview = _numbers(tags, _REDUCED)[:1] == [1] and _PARTS in tags
    if _DNG_VERSION in tags or is_preview or content[8:10] == b"CR":
        raise DataError(_RAW, code="D13")


def refuse_unknown(content: bytes, problem: str) -> None:
    """Raises DataError D13 for a file that Pillow does not open, such as a satellite's thirteen bands.

    `problem` is Pillow's message.
    """
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    try:
        tags: Any = ImageFileDirectory_v2(content[:8])
        file = BytesIO(content)
        file.seek(tags.next)
        tags.load(file)
    except Exception:  # damaged, as the caller reports
        return
    _refuse_compression(tags)
    bands, bits = (_numbers(tags, _BANDS) or [1])[0], _numbers(tags, _BITS)
    if bits and ("pixel mode" in problem or bands > 4):
        count = "one band" if bands == 1 else f"{bands} bands"
        way = "as an 8-bit image" if bands == 1 else "three of them as an RGB image"
        raise DataError(
            f"unsupported format: TIFF with {count} of {bits[0]} bits (save {way}, for example with "
            "tifffile or rasterio)",
            code="D13",
        )


def refuse_compression(image: Image) -> None:
    """Raises DataError D13 for a compression that this build of Pillow may lack. Call it if loading failed."""
    _refuse_compression(_tags(image))


def _refuse_compression(tags: Any) -> None:
    name = _RARE_COMPRESSIONS.get((_numbers(tags, _COMPRESSION) or [0])[0])
    if name:
        raise DataError(
            f"unsupported format: TIFF compressed as {name} (save it as PNG, for example with tifffile)",
            code="D13",
        )


def alpha(image: Image) -> int | None:
    """Returns the number of the transparency band, or None: 1 and 2 in ExtraSamples mark it."""
    tags = _tags(image)
    for index, kind in enumerate(_numbers(tags, _EXTRA)):
        if kind in (1, 2):
            return _colours(tags) + index
    return None


def is_premultiplied(image: Image) -> bool:
    """Whether the colours are premultiplied by their transparency (ExtraSamples 1)."""
    return _numbers(_tags(image), _EXTRA)[:1] == [1]


def count_extra_bands(image: Image) -> int:
    """Returns the number of bands that are neither colour nor transparency, such as near infrared."""
    tags = _tags(image)
    bands = (_numbers(tags, _BANDS) or [1])[0]
    return max(0, bands - _colours(tags) - (alpha(image) is not None))


def check_parts(image: Image, content: bytes) -> None:
    """Raises DataError D05 if the list of the image's parts is damaged, or a part is incomplete.

    libtiff stops reading a part at its last row, so its end is not checked elsewhere. Only parts that end in
    zeros or FF, as interrupted copies do, are checked.
    """
    tags = _tags(image)
    names = (_TILE_OFFSETS, _TILE_SIZES) if _TILE_OFFSETS in tags else (_OFFSETS, _SIZES)
    parts = list(zip(*(_numbers(tags, name) for name in names), strict=False))
    if content[-1:] in (b"\0", b"\xff") and _overlap(parts):
        raise complete.corrupt(content, "TIFF", "the list of its strips is damaged")
    compression = (_numbers(tags, _COMPRESSION) or [0])[0]
    is_whole = {_JPEG: _jpeg_ends, _DEFLATE: _deflate_ends, _OLD_DEFLATE: _deflate_ends}.get(compression)
    bodies = [content[start : start + size] for start, size in parts]
    if compression == _JPEG and isinstance(tables := tags.get(_JPEG_TABLES), bytes):
        bodies.append(tables)
    if compression == _PACKBITS:
        row = -(-image.width * sum(_numbers(tags, _BITS) or [1]) // 8)
        is_whole = functools.partial(_packbits_end, row=row) if _TILE_OFFSETS not in tags else None
    suspects = [body for body in bodies if body[-2:] in (b"\0\0", b"\xff\xff")]
    if is_whole and not all(is_whole(body) for body in suspects):
        raise complete.corrupt(content, "TIFF", "one of its strips is incomplete")


def _jpeg_ends(data: bytes) -> bool:
    return data.rstrip(b"\0\xff").endswith(b"\xff\xd9")


def _deflate_ends(data: bytes) -> bool:
    inflate = zlib.decompressobj()
    try:
        inflate.decompress(data)
    except zlib.error:
        return False
    return inflate.eof


def _packbits_end(data: bytes, row: int) -> bool:
    """Whether the runs add up to whole rows of this many bytes."""
    at, decoded_bytes = 0, 0
    while at < len(data):
        count = data[at]
        if count < 128:
            decoded_bytes += count + 1 if at + 1 + count < len(data) else 0
            at += count + 2
        else:
            decoded_bytes += 257 - count if count > 128 else 0
            at += 2 if count > 128 else 1
    return decoded_bytes % row == 0


def _overlap(parts: list[tuple[int, int]]) -> bool:
    """Whether two parts overlap or one lies in the header. Equal parts are shared, and empty ones are left out."""
    ranges = sorted({(start, start + size) for start, size in parts if start or size})
    return any(start < 8 for start, _ in ranges) or any(
        one[1] > other[0] for one, other in itertools.pairwise(ranges)
    )


def _colours(tags: Any) -> int:
    return _COLOURS.get((_numbers(tags, 262) or [2])[0], 3)


def _tags(image: Image) -> Any:
    return getattr(image, "tag_v2", {})


def _numbers(tags: Any, name: int) -> list[int]:
    """Returns a tag's whole numbers; empty if it is missing, or of another type."""
    values = np.atleast_1d(np.asarray(tags.get(name, [])))
    return [int(value) for value in values] if values.dtype.kind in "iu" else []
