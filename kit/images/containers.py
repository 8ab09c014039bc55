"""Reads all image formats except plain JPEG, by Pillow.

Pillow is opened by format, not by `Image.open`, which has its own process-wide pixel limit.
"""

from __future__ import annotations

import zlib
from io import BytesIO
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from kit.core import file_formats
from kit.errors import ConfigError, DataError
from kit.images import complete, tiff

if TYPE_CHECKING:
    from PIL.Image import Image

AS_STORED = "none"  # the value of data.alpha_fill that ignores transparency


def open_lazily(content: bytes, form: str) -> Image:
    """Returns Pillow's image with its header read and no pixel decoded. Raises DataError D05 or D13."""
    try:
        return _open(BytesIO(content), form)
    except DataError:
        raise
    except Exception as error:  # any error of Pillow's parsers
        if form == "TIFF":
            tiff.refuse_unknown(content, str(error))
        raise complete.corrupt(content, form, str(error)) from None


def _open(file: IO[bytes], form: str) -> Image:
    import PIL.Image

    PIL.Image.init()
    if form not in PIL.Image.OPEN:
        raise DataError(f"unsupported format: {form} (not in this build of Pillow)", code="D13")
    return PIL.Image.OPEN[form][0](file, "")


def measure(path: Path) -> tuple[int, int, str]:
    """Returns width, height and format from the file's header. Raises DataError for an unreadable file."""
    try:
        with path.open("rb") as file:
            form = file_formats.sniff(file.read(4096))
            file.seek(0)
            return (*_open(file, form).size, form)
    except DataError:
        raise
    except Exception as error:  # any error of the file system and of Pillow's parsers
        raise DataError(f"{path}: its header cannot be read ({error})", code="D05") from None


def depth_of(image: Image, content: bytes, form: str) -> int:
    """Returns the bits per channel: 8 for all up to 8, 16, or 32 for floats and whole numbers of 32 bits."""
    bits = _bits(image, content, form)
    if image.mode == "F" or bits > 16:
        return 32
    return 16 if image.mode.startswith("I") or bits > 8 else 8


def _bits(image: Image, content: bytes, form: str) -> int:
    if form == "PNG":
        return content[24]  # IHDR's bit depth
    tags: Any = getattr(image, "tag_v2", {})
    return int(max(np.atleast_1d(tags.get(258, 8))))  # TIFF's BitsPerSample


def decode(image: Image, content: bytes, form: str, fill: str) -> tuple[np.ndarray, bool]:
    """Returns pixels as uint8 RGB, and whether transparent ones were composited on the colour `fill`.

    `fill` is `none` for the stored colours. Raises DataError D05, or D14 for an image that is transparent
    everywhere.
    """
    try:
        image.load()
    except Exception as error:
        if form == "JPEG":
            raise DataError("truncated JPEG", code="D03", hint="download the file again") from None
        if form == "TIFF":
            tiff.refuse_compression(image)
        raise complete.corrupt(content, form, str(error)) from None
    if form == "PNG" and _may_lack_rows(image, content) and not png_is_whole(content):
        raise DataError("corrupt PNG: its data holds fewer rows than its header claims", code="D05")
    if fill == AS_STORED or not _has_alpha(image, form):
        return np.array(image.convert("RGB")), False
    layer = image.convert("RGBA")
    extremes = layer.getchannel("A").getextrema()
    if extremes == (255, 255):
        return np.array(layer.convert("RGB")), False
    if extremes == (0, 0):
        raise invisible()
    import PIL.Image

    background = PIL.Image.new("RGBA", layer.size, (*parse_colour(fill), 255))
    return np.array(PIL.Image.alpha_composite(background, layer).convert("RGB")), True


def _has_alpha(image: Image, form: str) -> bool:
    return image.has_transparency_data and (form != "TIFF" or tiff.alpha(image) is not None)


def invisible() -> DataError:
    """Returns the error for an image that is fully transparent."""
    return DataError(
        f"fully transparent (data.alpha_fill={AS_STORED} uses the stored colours)",
        code="D14",
    )


def parse_colour(fill: str) -> tuple[int, int, int]:
    """Returns red, green and blue of a colour's name. Raises ConfigError for one that Pillow does not know."""
    from PIL import ImageColor

    try:
        return ImageColor.getrgb(fill)[:3]
    except ValueError:
        raise ConfigError(
            f"data.alpha_fill: {fill!r} is not a colour",
            code="C02",
            hint=f"such as white or #808080, or {AS_STORED} for the stored colours",
        ) from None


def _may_lack_rows(image: Image, content: bytes) -> bool:
    """Whether the last row is all zero, as Pillow leaves rows that a PNG lacks (or it is interlaced)."""
    last = image.crop((0, image.height - 1, image.width, image.height))
    return content[28] == 1 or not np.asarray(last).any()


def png_is_whole(content: bytes) -> bool:
    """Whether the PNG's data inflates to all the bytes that its header claims."""
    width, height, bits = *(int.from_bytes(content[at : at + 4], "big") for at in (16, 20)), content[24]
    samples = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[content[25]]
    passes = [(0, 0, 1, 1)] if content[28] == 0 else _ADAM7
    sides = [(-(-(width - x) // dx), -(-(height - y) // dy)) for x, y, dx, dy in passes]
    wanted = sum(tall * (1 + -(-wide * samples * bits // 8)) for wide, tall in sides if wide > 0 and tall > 0)
    inflate = zlib.decompressobj()
    try:
        return sum(len(inflate.decompress(part)) for part in _chunks(content, b"IDAT")) >= wanted
    except zlib.error:
        return False


_ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def _chunks(content: bytes, name: bytes) -> list[bytes]:
    chunks, at = [], 8
    while at + 8 <= len(content):
        length = int.from_bytes(content[at : at + 4], "big")
        if content[at + 4 : at + 8] == name:
            chunks.append(content[at + 8 : at + 8 + length])
        at += 12 + length
    return chunks
