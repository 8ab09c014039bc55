"""Pixel types: how the cache stores pixels, and their conversion to bytes and to floats.

White is 255 in uint8 and in float32, and 65535 in uint16.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np

PixelType: TypeAlias = Literal["uint8", "uint16", "float32"]
WHITE: dict[str, float] = {"uint8": 255, "uint16": 65535, "float32": 255}
BYTES: dict[str, int] = {"uint8": 1, "uint16": 2, "float32": 4}
PER_BYTE = 257  # values of 16 bits per value of 8


def scale_shares(shares: np.ndarray, pixel_type: PixelType) -> np.ndarray:
    """Returns shares of white as pixels of a type; below 0 is black, above 1 is white."""
    scaled = np.clip(shares, 0, 1) * WHITE[pixel_type]
    pixels: np.ndarray = (scaled if pixel_type == "float32" else np.rint(scaled)).astype(pixel_type)
    return pixels


def convert(image: np.ndarray, pixel_type: PixelType) -> np.ndarray:
    """Returns an image of 8 bits, or of the type, as pixels of the type."""
    if image.dtype == pixel_type:
        return image
    return image.astype(np.uint16) * PER_BYTE if pixel_type == "uint16" else image.astype(np.float32)


def to_bytes(image: np.ndarray) -> np.ndarray:
    """Returns an image of any type with 8 bits, for display and comparisons."""
    if image.dtype == np.uint8:
        return image
    scale = 1 / PER_BYTE if image.dtype == np.uint16 else 1
    bytes_of: np.ndarray = np.clip(np.rint(image * scale), 0, 255).astype(np.uint8)
    return bytes_of


def to_floats(image: np.ndarray) -> np.ndarray:
    """Returns an image of 16 bits or of floats as float32 with white at 255, as augmenters and networks take it."""
    return image * np.float32(1 / PER_BYTE) if image.dtype == np.uint16 else image.astype(np.float32)
