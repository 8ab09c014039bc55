"""The one image reader: every image kit shows to a network, or to a person, comes through here.

An image is uint8 RGB of shape (height, width, 3). What decoders do silently (invent pixels, clip 16 bits, drop
transparency, leave the orientation) is an error or a note here.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from kit.core import file_formats
from kit.core.arrays import Pixels
from kit.core.image_files import read_image_bytes
from kit.errors import Case, DataError, KitWarning
from kit.images import complete, containers, high_bit_depth, jpeg, jpeg_scans, tiff
from kit.images.channels import in_groups
from kit.kinds.reader import Decoded

if TYPE_CHECKING:
    from PIL.Image import Image

    from kit.config.models import Data

# Goes up whenever the same file gives other pixels, or is refused where it was not, so that caches are made anew.
READER = 2
NARROW_PX = 8  # pixels; a shorter side is worth a warning
_REDUCED = {8: cv2.IMREAD_REDUCED_COLOR_8, 4: cv2.IMREAD_REDUCED_COLOR_4, 2: cv2.IMREAD_REDUCED_COLOR_2}
_WHOLE = cv2.IMREAD_COLOR

# EXIF orientation -> the pixels as they are to be seen (EXIF 2.32, tag 274)
_UPRIGHT: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda pixels: pixels,
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: pixels[::-1, ::-1].swapaxes(0, 1),
    8: lambda pixels: np.rot90(pixels),
}


def read_image(path: Path, data: Data) -> np.ndarray:
    """A file's image, uint8 RGB of shape (height, width, 3), upright; of an animation the first frame.

    Raises DataError D01 to D13, naming the file. Warns of what was mended: D04, W07, W08, W09.
    """
    try:
        decoded = decode(read_image_bytes(path), data)
    except DataError as error:
        raise DataError(f"{path}: {error.summary}", code=error.code, hint=error.hint) from None
    for note in decoded.repairs:
        warnings.warn(KitWarning(f"{note.code} {path}: {note.detail}"), stacklevel=2)
    return decoded.pixels


def decode(content: bytes, data: Data, least: int = 0) -> Decoded:
    """The image in a file's content; with `least`, a JPEG may come at 1/2, 1/4 or 1/8, its short side at
    `least` pixels or more, which is several times faster.

    Raises DataError D03 to D13, which leave the path to the caller.
    """
    form = file_formats.sniff(content)
    decoded = _jpeg(content, data, least) if form == "JPEG" else _other(content, form, data)
    height, width = decoded.pixels.shape[:2]
    if min(height, width) >= NARROW_PX:
        return decoded
    return Decoded(decoded.pixels, (*decoded.repairs, Case(f"is only {width} x {height} pixels", code="W09")))


def _jpeg(content: bytes, data: Data, least: int) -> Decoded:
    """By libjpeg-turbo as cv2 has it: equal to Pillow's pixels and twice as fast."""
    header = jpeg.header(content)
    _refuse_claim(header.width, header.height, data)
    whole = content
    if jpeg_scans.end_of_image(content, header.scan) is None:
        if not jpeg_scans.is_whole(content, header.scan):
            raise _truncation_error(content)
        whole = jpeg_scans.without_padding(content, header.scan) + jpeg_scans.END
    decoded = _jpeg_pixels(whole, header, data, least)
    if whole is content:
        return decoded
    note = Case("JPEG without end marker, all pixels are present", code="D04")
    return Decoded(decoded.pixels, (*decoded.repairs, note))


def _jpeg_pixels(content: bytes, header: jpeg.Header, data: Data, least: int) -> Decoded:
    """Of a JPEG that has its end marker."""
    if header.components not in (1, 3):  # CMYK, whose inks Adobe inverts: Pillow knows
        return _other(content, "JPEG", data)
    if header.bits != 8:
        raise DataError(f"{header.bits}-bit JPEG", code="D11", hint="convert it to 8 bits per channel")
    short = min(header.width, header.height)
    flag = next((flag for by, flag in _REDUCED.items() if least and short >= by * least), _WHOLE)
    pixels = _rgb(content, flag)
    # libjpeg fills what is missing with plain grey, so an odd last pixel is worth a second look
    if pixels is None or ((pixels[-1, -1] == 128).all() and not jpeg_scans.is_whole(content, header.scan)):
        raise _truncation_error(content)
    return Decoded(*_upright(pixels, header.exif))


def _rgb(content: bytes, flag: int) -> np.ndarray | None:
    """A JPEG as libjpeg gives it, red first, or None; where cv2 can leave the order of colours, that saves a pass."""
    coded, flag = np.frombuffer(content, np.uint8), flag | cv2.IMREAD_IGNORE_ORIENTATION
    red_first = getattr(cv2, "IMREAD_COLOR_RGB", None)
    if red_first is not None:
        return cv2.imdecode(coded, (flag & ~cv2.IMREAD_COLOR) | red_first)
    pixels = cv2.imdecode(coded, flag)
    return None if pixels is None else cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)


def _truncation_error(content: bytes) -> DataError:
    zeros = len(content) - len(content.rstrip(b"\0"))
    why = f": its last {zeros:,} bytes are zero, as after an interrupted copy" if zeros > 1 else ""
    return DataError(f"truncated JPEG{why}", code="D03", hint="download the file again")


def _other(content: bytes, form: str, data: Data) -> Decoded:
    image = containers.open_lazily(content, form)
    _refuse_claim(*image.size, data)
    complete.check_complete(content, form)
    if form == "TIFF":
        tiff.refuse_raw(image, content)
        tiff.seek_page(image, data.page)
        tiff.check_parts(image, content)
    depth = containers.depth_of(image, content, form)
    notes = _notes(image, content, form)
    if depth > 8:
        pixels, composited = high_bit_depth.decode_high_bit_depth(image, content, form, depth, data)
    else:
        pixels, composited = containers.decode(image, content, form, data.alpha_fill)
    if composited:
        notes.append(Case(f"has transparent pixels, filled with {data.alpha_fill}", code="W08"))
    exif = b"" if form == "TIFF" else image.info.get("exif", b"")  # Pillow turns TIFF while loading
    upright, broken = _upright(pixels, exif)
    if broken and form != "JPEG" and complete.ends_in_zeros(content):
        raise complete.corrupt(content, form, "its EXIF block is incomplete")
    return Decoded(upright, (*broken, *notes))


def _notes(image: Image, content: bytes, form: str) -> list[Case]:
    """What is worth a word before the pixels are loaded, which takes a TIFF's tags away."""
    notes = []
    bands = tiff.count_extra_bands(image) if form == "TIFF" else 0
    if bands:
        count = "1 band that is" if bands == 1 else f"{bands} bands that are"
        notes.append(Case(f"has {count} neither colour nor transparency, ignored", code="W29"))
    zeros = complete.suspicious_zeros(content) if form in ("BMP", "PPM", "TIFF") else 0
    if zeros:
        notes.append(
            Case(f"its last {zeros:,} bytes are zero: black pixels, or an interrupted copy", code="W28")
        )
    return notes


def _refuse_claim(width: int, height: int, data: Data) -> None:
    """Raises DataError D10 before a pixel is decoded, so that a small file cannot fill the memory."""
    if width * height > data.max_pixels:
        claim, limit = _pixels(width * height), _pixels(data.max_pixels)
        raise DataError(f"claims {claim}, more than the limit {limit} (data.max_pixels)", code="D10")


def _pixels(count: int) -> str:
    unit, size = next(((u, s) for u, s in (("Gpx", 1e9), ("Mpx", 1e6)) if count >= s), ("px", 1))
    return f"{count / size:.4g} {unit}"


def _upright(pixels: np.ndarray, exif: bytes) -> tuple[np.ndarray, tuple[Case, ...]]:
    try:
        turned = _UPRIGHT[jpeg.orientation(exif) if exif else 1](pixels)
    except ValueError as error:
        return pixels, (Case(f"broken EXIF block ({error}), read as upright", code="W07"),)
    return np.ascontiguousarray(turned), ()


def resize(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """The image at another size: by area when it shrinks, linear when it grows."""
    if image.shape[:2] == (height, width):
        return image
    shrinks = image.shape[0] * image.shape[1] > height * width
    way = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return in_groups(lambda part: cv2.resize(part, (width, height), interpolation=way), image)


def pad_to_square(image: Pixels, side: int) -> np.ndarray:
    """The image in the middle of a black square of at least its own size."""
    down, right = side - image.shape[0], side - image.shape[1]
    edges = (down // 2, down - down // 2), (right // 2, right - right // 2)
    return np.pad(image, (*edges, (0, 0)))


def center_crop(image: Pixels, size: int, crop_share: float = 1.0) -> np.ndarray:
    """The square in the middle, `crop_share` of the short side, at size x size: how every image is predicted."""
    height, width = image.shape[:2]
    side = max(1, round(min(height, width) * crop_share))
    top, left = (height - side) // 2, (width - side) // 2
    square = resize(image[top : top + side, left : left + side], size, size)
    return square.copy() if np.shares_memory(square, image) else square
