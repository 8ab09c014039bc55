"""Heavy: small crops, a flip, rotation, light, colour and a hole; for networks that start from random weights."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Self

from pydantic import Field, model_validator

from kit.plugins.augmenter.light import Light

if TYPE_CHECKING:
    import numpy as np

    from kit.core.arrays import Pixels

# NTSC's luma and two chroma axes; each chroma row sums to 0, so that grey has no chroma.
YIQ = ((0.299, 0.587, 0.114), (0.596, -0.274, -0.322), (0.211, -0.523, 0.312))


class Heavy(Light):
    """Random resized crop (from .35 of the area), flip, affine map, brightness, contrast, saturation, hue, cutout.

    The geometry is the one affine map of `light`; saturation and hue are one 3 x 3 matrix that keeps the luma. The hole
    is a square of uniform side and centre, clipped at the border, filled with the image's mean colour.

    Source: Haeberli 1993, "Matrix Operations for Image Processing" (saturation and hue, here about NTSC's luma axis);
    DeVries and Taylor 2017, "Improved Regularization of Convolutional Neural Networks with Cutout"; the crop as in
    `light`.
    """

    scale: tuple[float, float] = Field(
        (0.35, 1.0), description="range of a crop's area, as a share of the image"
    )
    rotate: float = Field(15.0, ge=0, le=180, description="largest rotation in degrees")
    brightness: float = Field(
        0.2, ge=0, le=1, description="largest change of brightness, as a share of white"
    )
    contrast: float = Field(0.2, ge=0, lt=1, description="largest relative change of contrast")
    saturation: float = Field(0.3, ge=0, le=1, description="largest relative change of saturation")
    hue: float = Field(8.0, ge=0, le=180, description="largest shift of the hue in degrees")
    cutout_prob: float = Field(0.5, ge=0, le=1, description="probability of a cutout hole")
    cutout_size: tuple[float, float] = Field(
        (0.15, 0.4), description="side of the hole, as a share of the image's side"
    )

    @model_validator(mode="after")
    def _hole(self) -> Self:
        if not 0 < self.cutout_size[0] <= self.cutout_size[1] <= 1:
            raise ValueError(f"cutout_size must rise within 0 to 1, not {self.cutout_size}")
        return self

    def __call__(self, image: Pixels, size: int, rng: np.random.Generator) -> Pixels:
        import cv2
        import numpy as np

        augmented = super().__call__(image, size, rng)
        share, angle = rng.uniform(-1, 1, 2)
        if (self.saturation or self.hue) and augmented.shape[2] == 3:
            augmented = cv2.transform(augmented, chroma_matrix(1 + share * self.saturation, angle * self.hue))
            augmented = augmented if augmented.dtype == np.uint8 else np.clip(augmented, 0, 255)
        if rng.random() < self.cutout_prob:
            top, bottom, left, right = square(size, rng.uniform(*self.cutout_size), rng)
            augmented[top:bottom, left:right] = (
                cv2.mean(augmented)[:3] if augmented.shape[2] == 3 else augmented.mean(axis=(0, 1))
            )
        return augmented


def chroma_matrix(saturation: float, hue: float) -> np.ndarray:
    """Returns the matrix (3, 3) on RGB that scales the chroma by `saturation` and rotates it by `hue` degrees."""
    import numpy as np

    to_chroma, to_rgb = _axes()
    cosine, sine = math.cos(math.radians(hue)), math.sin(math.radians(hue))
    turned = np.eye(3)
    turned[1:, 1:] = saturation * np.array([[cosine, -sine], [sine, cosine]])
    matrix: np.ndarray = to_rgb @ turned @ to_chroma
    return matrix


@lru_cache(maxsize=1)
def _axes() -> tuple[np.ndarray, np.ndarray]:
    import numpy as np

    return np.array(YIQ), np.linalg.inv(np.array(YIQ))


def square(size: int, share: float, rng: np.random.Generator) -> tuple[int, int, int, int]:
    """Returns top, bottom, left, right of a square of side `share` of the image's, with a uniform centre,
    clipped at the border.
    """
    side = max(1, round(size * share))
    top, left = (int(start) - side // 2 for start in rng.integers(size, size=2))
    return max(top, 0), min(top + side, size), max(left, 0), min(left + side, size)
