"""Affine maps of images by OpenCV, which maps four channels in half the time of three, to the same bits."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from kit.core.arrays import Pixels


def warp(image: Pixels, matrix: np.ndarray, size: int, fill: int | None = None) -> np.ndarray:
    """The square of side `size` whose pixel (x, y) shows the image's at `matrix` (2, 3) times (x, y, 1), bilinear.

    Beyond the border are the image's mirrored pixels, or the value `fill`.
    """
    import cv2

    from kit.images.channels import in_groups

    shown = {
        "flags": cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        "borderMode": cv2.BORDER_REFLECT_101 if fill is None else cv2.BORDER_CONSTANT,
        "borderValue": (fill or 0,) * 4,
    }
    if image.shape[2] != 3:
        return in_groups(lambda part: cv2.warpAffine(part, matrix, (size, size), **shown), image)
    warped = cv2.warpAffine(cv2.cvtColor(image, cv2.COLOR_RGB2RGBA), matrix, (size, size), **shown)
    made: np.ndarray = cv2.cvtColor(warped, cv2.COLOR_RGBA2RGB)
    return made
