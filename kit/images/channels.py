"""Images of any number of channels: in groups for OpenCV, in RGB for display, in grey for comparisons."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from kit.core.arrays import Pixels
from kit.core.pixel_types import to_bytes

GROUP = 4  # channels that OpenCV takes at once


def to_rgb(image: Pixels) -> np.ndarray:
    """Returns a picture (height, width, 3) of 8 bits: the first three channels, or the only one three times.

    Two channels get a black third.
    """
    image, channels = to_bytes(image), image.shape[2]
    if channels == 3:
        return image
    if channels == 1:
        return np.repeat(image, 3, axis=2)
    rgb = np.zeros((*image.shape[:2], 3), np.uint8)
    rgb[:, :, : min(channels, 3)] = image[:, :, :3]
    return rgb


def to_grey(image: Pixels) -> np.ndarray:
    """Returns a grey picture (height, width) uint8: the luminance of RGB, else the mean of all channels."""
    image = to_bytes(image)
    if image.shape[2] == 3:
        return np.asarray(cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY))
    grey: np.ndarray = np.rint(image.mean(axis=2)).astype(np.uint8)
    return grey


def in_groups(work: Callable[[np.ndarray], np.ndarray], image: Pixels) -> np.ndarray:
    """Applies a function of OpenCV, which takes at most four channels, to an image of any number."""
    channels = image.shape[2]
    if channels in (3, 4):
        return work(image)
    if channels < GROUP:
        return _with_channels(work(image))
    groups = [np.ascontiguousarray(image[:, :, at : at + GROUP]) for at in range(0, channels, GROUP)]
    return np.concatenate([_with_channels(work(group)) for group in groups], axis=2)


def _with_channels(image: np.ndarray) -> np.ndarray:
    """Restores the axis of a single channel, which OpenCV drops."""
    return image[:, :, None] if image.ndim == 2 else image
