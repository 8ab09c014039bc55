"""Boxes: the part of an image that a table or a detector names, with a margin."""

from __future__ import annotations

import math

import numpy as np

from kit.core.locations import Box
from kit.errors import DataError


def crop(image: np.ndarray, box: Box, margin: float = 0.0) -> np.ndarray:
    """Returns the part of an image (height, width, channels) in a box.

    `margin` is the share of the box's sides that is added on each side. Parts outside the image are left out.
    Raises DataError D16 for a box without area, or outside the image.
    """
    height, width = image.shape[:2]
    across, down = (width / 100, height / 100) if box.is_percent else (1, 1)
    x, y, wide, tall = box.x * across, box.y * down, box.width * across, box.height * down
    text = f"box {box}"
    if not (wide > 0 and tall > 0 and math.isfinite(x + y + wide + tall)):
        raise DataError(f"{text} has no area", code="D16")
    left, top = max(0, round(x - margin * wide)), max(0, round(y - margin * tall))
    right, bottom = min(width, round(x + (1 + margin) * wide)), min(height, round(y + (1 + margin) * tall))
    if right <= left or bottom <= top or x >= width or y >= height or x + wide <= 0 or y + tall <= 0:
        raise DataError(f"{text} lies outside the image of {width} x {height} pixels", code="D16")
    return np.ascontiguousarray(image[top:bottom, left:right])
