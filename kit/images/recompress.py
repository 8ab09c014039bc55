"""JPEG compression and decompression of pixels."""

from __future__ import annotations

import cv2
import numpy as np

from kit.core.arrays import Pixels


def compress(image: Pixels, quality: int) -> np.ndarray:
    """Returns the image after JPEG of a quality from 1 to 100. Channels that are not RGB are coded one by one."""
    options = [cv2.IMWRITE_JPEG_QUALITY, quality]
    if image.shape[2] == 3:
        _, coded = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
        decoded = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR))
        return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB))
    compressed = np.empty_like(image)
    for channel in range(image.shape[2]):
        _, coded = cv2.imencode(".jpg", image[:, :, channel], options)
        compressed[:, :, channel] = np.asarray(cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE))
    return compressed
