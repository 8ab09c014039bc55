"""What a file's first bytes say it holds, and images in everything but plain JPEG, by Pillow.

Pillow is opened by format, not by `Image.open`: that one has a pixel limit of its own, process-wide.
"""

from __future__ import annotations

import zlib
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

from kit.errors import ConfigError, DataError

if TYPE_CHECKING:
    from PIL.Image import Image

_MAGIC = {
    b"\xff\xd8\xff": "JPEG", b"\x89PNG\r\n\x1a\n": "PNG", b"GIF8": "GIF", b"BM": "BMP", b"II*\0": "TIFF",
    b"MM\0*": "TIFF", b"P6": "PPM", b"P5": "PPM",
}  # fmt: skip
_BRANDS = {
    b"avif": "AVIF",
    b"avis": "AVIF",
    b"heic": "HEIC",
    b"heix": "HEIC",
    b"mif1": "HEIC",
    b"msf1": "HEIC",
}
_HTML = ("D06", "not an image: looks like HTML (failed download?)")
_TEXTS = {
    b"<!doctype html": _HTML,
    b"<html": _HTML,
    b"version https://git-lfs": ("D07", "git-lfs pointer; run git lfs pull"),
    b"<svg": ("D13", "unsupported format: SVG"),
    b"%pdf": ("D13", "unsupported format: PDF"),
}


def sniff(content: bytes) -> str:
    """The format, as Pillow names it. Raises DataError D06, D07 or D13 for what is no image kit reads."""
    for magic, name in _MAGIC.items():
        if content.startswith(magic):
            return name
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "WEBP"
    brand = _BRANDS.get(content[8:12], "") if content[4:8] == b"ftyp" else ""
    if brand == "AVIF":
        return brand
    if brand:
        raise DataError(f"unsupported format: {brand}", code="D13", hint="convert it to JPEG or PNG")
    text = content[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    for start, (code, words) in _TEXTS.items():
        if text.startswith(start) or (text.startswith(b"<?xml") and start in text):
            raise DataError(words, code=code)
    raise DataError(f"not an image: begins with {content[:12]!r}", code="D06")


def opened(content: bytes, form: str) -> Image:
    """Pillow's image with its header read and no pixel decoded. Raises DataError D05 or D13."""
    import PIL.Image

    PIL.Image.init()
    if form not in PIL.Image.OPEN:
        raise DataError(f"unsupported format: {form} (not in this build of Pillow)", code="D13")
    try:
        return PIL.Image.OPEN[form][0](BytesIO(content), "")
    except Exception as error:  # Pillow's readers raise what their parsing happens to raise
        raise DataError(f"corrupt {form}: {error}", code="D05") from None


def turn_to(image: Image, form: str, page: int | None) -> None:
    """Goes to a page of a multi-page TIFF. Raises DataError D12 where the config names none that is there."""
    pages = _pages(image) if form == "TIFF" else 1
    if pages > 1 and page is None:
        raise DataError(f"multi-page TIFF ({pages} pages; data.page=0 takes the first)", code="D12")
    if page and form == "TIFF":
        if page >= pages:
            raise DataError(f"TIFF of {pages} pages, without the page {page} of data.page", code="D12")
        image.seek(page)


def depth_of(image: Image, content: bytes, form: str) -> int:
    """Bits a channel: 8 for all up to 8, 16, or 32 for floats and whole numbers of 32 bits."""
    bits = _bits(image, content, form)
    if image.mode == "F" or bits > 16:
        return 32
    return 16 if image.mode.startswith("I") or bits > 8 else 8


def _pages(image: Image) -> int:
    """How many pages a TIFF has. Raises DataError D05 where a later one is damaged."""
    try:
        return int(getattr(image, "n_frames", 1))
    except Exception as error:  # Pillow's readers raise what their parsing happens to raise
        raise DataError(f"corrupt TIFF: {error}", code="D05") from None


def _bits(image: Image, content: bytes, form: str) -> int:
    if form == "PNG":
        return content[24]  # IHDR's bit depth
    tags: Any = getattr(image, "tag_v2", {})
    return max(np.atleast_1d(tags.get(258, 8)))  # TIFF's BitsPerSample


def loaded(image: Image, content: bytes, form: str, fill: str) -> tuple[np.ndarray, bool]:
    """Pixels as uint8 RGB, and whether transparent ones were laid on the colour `fill`. Raises DataError D05."""
    try:
        image.load()
    except Exception as error:
        if form == "JPEG":
            raise DataError("truncated JPEG", code="D03", hint="fetch the file again") from None
        raise DataError(f"corrupt {form}: {error}", code="D05") from None
    if form == "PNG" and _may_lack_rows(image, content) and not png_is_whole(content):
        raise DataError("corrupt PNG: its data holds fewer rows than its header claims", code="D05")
    if not image.has_transparency_data:
        return np.array(image.convert("RGB")), False
    layer = image.convert("RGBA")
    if layer.getchannel("A").getextrema() == (255, 255):
        return np.array(layer.convert("RGB")), False
    import PIL.Image

    ground = PIL.Image.new("RGBA", layer.size, (*colour(fill), 255))
    return np.array(PIL.Image.alpha_composite(ground, layer).convert("RGB")), True


def colour(fill: str) -> tuple[int, int, int]:
    """The red, green and blue of a colour's name. Raises ConfigError for one that Pillow does not know."""
    from PIL import ImageColor

    try:
        return ImageColor.getrgb(fill)[:3]
    except ValueError:
        raise ConfigError(
            f"data.alpha_fill: {fill!r} is no colour", code="C02", hint="such as white or #808080"
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
    found, at = [], 8
    while at + 8 <= len(content):
        length = int.from_bytes(content[at : at + 4], "big")
        if content[at + 4 : at + 8] == name:
            found.append(content[at + 8 : at + 8 + length])
        at += 12 + length
    return found
