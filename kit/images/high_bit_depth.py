"""Images of more than 8 bits per channel, scaled to the cache's type by a range that the config declares."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from kit.core.pixel_types import scale_shares
from kit.errors import DataError
from kit.images import complete, containers, tiff

if TYPE_CHECKING:
    from PIL.Image import Image

    from kit.config.models import Data

WHITE = {16: 65535.0, 32: 1.0}  # the value of white by depth, if data.max_value is not set


def decode_high_bit_depth(
    image: Image, content: bytes, form: str, depth: int, data: Data
) -> tuple[np.ndarray, bool]:
    """Returns pixels as RGB of `data.pixel_type`, and whether transparent ones were composited on data.alpha_fill.

    A value v becomes v / white times the type's white: for 8 bits 255 * v / white, rounded. Values above
    white are white. Raises DataError D11 for 16 bits and D12 for floats if the config does not declare them,
    D05 for a damaged file.
    """
    if data.bit_depth < depth:
        raise _ask_to_declare(content, form, depth)
    band = tiff.alpha(image) if form == "TIFF" else 3
    premultiplied = form == "TIFF" and tiff.is_premultiplied(image)
    values = _values(image, content, form, depth, data.page or 0)
    if not np.isfinite(values).all():
        raise DataError(f"float {form} with values that are not finite", code="D12")
    white = data.max_value or WHITE[depth]
    colours = np.clip(values.astype(np.float64) / white, 0, 1)
    has_alpha = (
        colours.ndim == 3 and colours.shape[2] == 4 and band == 3 and data.alpha_fill != containers.AS_STORED
    )
    colours = colours[:, :, :3] if colours.ndim == 3 else np.repeat(colours[:, :, None], 3, axis=2)
    seen_through = False
    if has_alpha:  # transparency has the whole range, for any white
        alpha = values[:, :, 3:].astype(np.float64) / WHITE[depth]
        if not alpha.any():
            raise containers.invisible()
        seen_through = bool((alpha < 1).any())
        background = np.array(containers.parse_colour(data.alpha_fill)) / 255 * (1 - alpha)
        colours = np.clip(colours * (1 if premultiplied else alpha) + background, 0, 1)
    return scale_shares(colours, data.pixel_type), seen_through


def _ask_to_declare(content: bytes, form: str, depth: int) -> DataError:
    """Returns the error with the present depth, and the line that declares it.

    It is a summary, because images with the same one are listed together.
    """
    if depth == 32:
        return DataError(
            f"float {form} (data.bit_depth=32, and data.max_value if white is not 1)", code="D12"
        )
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    most = 0 if pixels is None else int(pixels.max())
    white = next((2**bits - 1 for bits in (10, 12, 14) if most < 2**bits), None)  # such as 12 bits in 16
    line = "data.bit_depth=16" + (f" data.max_value={white}" if white and most else "")
    return DataError(
        f"16-bit {form} (values up to {most}: {line})", code="D11", hint="or convert it to 8 bits per channel"
    )


def _values(image: Image, content: bytes, form: str, depth: int, page: int) -> np.ndarray:
    """Returns the file's own values, (height, width) or (height, width, 3 or 4) in the order red, green,
    blue, alpha.
    """
    if form == "PNG" and not containers.png_is_whole(content):
        raise DataError("corrupt PNG: its data holds fewer rows than its header claims", code="D05")
    if depth == 32:
        try:
            return np.array(image)
        except Exception as error:  # any error of Pillow's parsers
            raise complete.corrupt(content, form, str(error)) from None
    flags = cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION
    coded = np.frombuffer(content, np.uint8)
    if page:
        _, pages = cv2.imdecodemulti(coded, flags)
        pixels = pages[page] if page < len(pages) else None
    else:
        pixels = cv2.imdecode(coded, flags)
    if pixels is None or pixels.dtype != np.uint16:
        raise DataError(f"corrupt {form}: it does not have 16 bits per channel", code="D05")
    if pixels.ndim == 2:
        return np.asarray(pixels)
    orders = {3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGBA}
    return np.asarray(cv2.cvtColor(pixels, orders[pixels.shape[2]]))
