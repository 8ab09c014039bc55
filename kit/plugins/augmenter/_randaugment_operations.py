"""RandAugment's fourteen operations on arrays: maps of the plane, and changes of colour by tables or small kernels.

Values agree with torchvision.transforms.v2 to one level of 255. Interpolated values are rounded as by OpenCV.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    pass

LUMA = (0.2989, 0.587, 0.114)  # torchvision's and Pillow's weights of red, green and blue
LARGEST_SHEAR, LARGEST_SHIFT, LARGEST_TURN, LARGEST_BLEND = 0.3, 150 / 331, 30.0, 0.9
MOST_BITS_LOST = 4
MAGNITUDES = 30  # the highest magnitude; 0 changes nothing

Colour = Callable[[np.ndarray, float], np.ndarray]
PLANE = ("shear_x", "shear_y", "shift_x", "shift_y", "rotate")


def plane_map(name: str, share: float, size: int) -> np.ndarray:
    """Returns the map (3, 3) from a point of the result to the point that it shows, of a square of side `size`.

    `share` is the magnitude divided by the highest one, negative for the other direction. The origin is the
    upper left corner.
    """
    matrix = np.eye(3)
    if name == "shear_x":
        matrix[0, 1] = share * LARGEST_SHEAR
    elif name == "shear_y":
        matrix[1, 0] = share * LARGEST_SHEAR
    elif name == "shift_x":
        matrix[0, 2] = -int(share * LARGEST_SHIFT * size)
    elif name == "shift_y":
        matrix[1, 2] = -int(share * LARGEST_SHIFT * size)
    else:
        angle, half = math.radians(share * LARGEST_TURN), size / 2
        cosine, sine = math.cos(angle), math.sin(angle)
        matrix[0] = cosine, -sine, half - cosine * half + sine * half
        matrix[1] = sine, cosine, half - sine * half - cosine * half
    return matrix


def _by_table(image: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Returns the image with each value replaced by its entry in a table (256,), or (256, channels) with one
    column per channel.
    """
    import cv2

    mapped: np.ndarray = cv2.LUT(image, table if table.ndim == 1 else table[None])
    return mapped if mapped.ndim == 3 else mapped[:, :, None]


def _blend(share: float) -> np.float32:
    """Returns how much of the image a blend keeps, around 1."""
    return np.float32(1 + share * LARGEST_BLEND)


def _bytes(values: np.ndarray) -> np.ndarray:
    """Clips values to 0 to 255 and cuts off fractions, as torchvision does."""
    return np.asarray(np.clip(values, 0, 255).astype(np.uint8))


def brightness(image: np.ndarray, share: float) -> np.ndarray:
    """Returns the image, multiplied."""
    return _by_table(image, _bytes(np.arange(256, dtype=np.float32) * _blend(share)))


def contrast(image: np.ndarray, share: float) -> np.ndarray:
    """Returns the image, blended with its mean grey."""
    import cv2

    blend_share = _blend(share)
    # grey is cut to whole numbers before its mean is taken, which lowers the mean by half a level
    luma = np.dot(LUMA, cv2.mean(image)[:3]) - 0.5 if image.shape[2] == 3 else image.mean()
    grey = np.float32(luma)
    return _by_table(image, _bytes(np.arange(256, dtype=np.float32) * blend_share + grey * (1 - blend_share)))


def colour(image: np.ndarray, share: float) -> np.ndarray:
    """Returns the image, blended with its grey. Channels that are not RGB stay as they are."""
    import cv2

    if image.shape[2] != 3:
        return image
    blend_share = float(_blend(share))
    matrix = np.empty((3, 4))
    matrix[:, :3] = blend_share * np.eye(3) + (1 - blend_share) * np.array(LUMA)
    # half a level for each fraction that torchvision cuts off and OpenCV rounds
    matrix[:, 3] = -0.5 - 0.5 * (1 - blend_share)
    coloured: np.ndarray = cv2.transform(image, matrix)
    return coloured


def sharpness(image: np.ndarray, share: float) -> np.ndarray:
    """Returns the image, blended with a smoothed copy. The border stays as it is."""
    import cv2

    from kit.images.channels import in_groups

    blend_share = float(_blend(share))
    kernel = np.full((3, 3), (1 - blend_share) / 13)
    kernel[1, 1] = blend_share + 5 * (1 - blend_share) / 13
    sharpened = in_groups(lambda part: cv2.filter2D(part, -1, kernel), image)
    sharpened[[0, -1]], sharpened[:, [0, -1]] = image[[0, -1]], image[:, [0, -1]]
    return sharpened


def posterize(image: np.ndarray, share: float) -> np.ndarray:
    """Returns the highest bits of the image."""
    bits_lost = MOST_BITS_LOST * abs(share)
    bits = int(np.rint(8 - bits_lost))
    return image if bits == 8 else _by_table(image, np.arange(256, dtype=np.uint8) >> 8 - bits << 8 - bits)


def solarize(image: np.ndarray, share: float) -> np.ndarray:
    """Returns the image with values from a threshold on inverted."""
    values = np.arange(256)
    inverted = np.where(values >= 255 * (1 - abs(share)), 255 - values, values)
    return _by_table(image, inverted.astype(np.uint8))


def autocontrast(image: np.ndarray, share: float) -> np.ndarray:
    """Stretches each channel to 0 to 255, unless it has only one value."""
    counts = _counts(image)
    values = np.arange(256, dtype=np.float32)
    table = np.empty((256, image.shape[2]), np.uint8)
    for channel in range(image.shape[2]):
        there = np.flatnonzero(counts[:, channel])
        low, high = np.float32(there[0]), np.float32(there[-1])
        scale = (high - low) * np.float32(1 / 255)
        table[:, channel] = values if low == high else _bytes((values - low) / scale)
    return _by_table(image, table)


def equalize(image: np.ndarray, share: float) -> np.ndarray:
    """Equalizes each channel's histogram by Pillow's rule."""
    counts = _counts(image)
    table = np.empty((256, image.shape[2]), np.uint8)
    for channel in range(image.shape[2]):
        own = counts[:, channel]
        step = (own.sum() - own[np.flatnonzero(own)[-1]]) // 255
        below = np.cumsum(own) - own
        table[:, channel] = np.arange(256) if step == 0 else np.minimum((below + step // 2) // step, 255)
    return _by_table(image, table)


def _counts(image: np.ndarray) -> np.ndarray:
    """Counts each value in each channel, (256, channels) int64."""
    import cv2

    channels = [
        cv2.calcHist([image], [channel], None, [256], [0, 256]).ravel() for channel in range(image.shape[2])
    ]
    return np.stack(channels, axis=1).astype(np.int64)


COLOURS: dict[str, Colour] = {
    each.__name__: each
    for each in (brightness, colour, contrast, sharpness, posterize, solarize, autocontrast, equalize)
}
OPERATIONS = ("identity", *PLANE, *COLOURS)
