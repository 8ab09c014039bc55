"""Retail: flip, image compression, shift, scale, rotate and one large hole, as winners augment product photos."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Self

from pydantic import Field, model_validator

from kit.kinds import Augmenter
from kit.plugins.augmenter._warp import mirror, resize_square, warp

if TYPE_CHECKING:
    import numpy as np

    from kit.core.arrays import Pixels


class Retail(Augmenter):
    """Flip, JPEG compression, shift-scale-rotate over black, and a cutout hole of .4 of the side.

    The published pipeline squashes the image to the network's square. Here a random square of its short side
    is cut out, so that products keep their shape. `resize: stretch` gives the published one.

    Source: Ha, Liu and Liu 2020, "Google Landmark Recognition 2020 Competition Third Place Solution", whose code has
    these transforms of albumentations with these values; cutout is DeVries and Taylor 2017.
    """

    hflip: float = Field(0.5, ge=0, le=1, description="probability of mirroring")
    quality: tuple[int, int] = Field(
        (99, 100), description="JPEG quality, 1 to 100; (60, 100) for phone photos"
    )
    compression_prob: float = Field(0.5, ge=0, le=1, description="probability of JPEG compression")
    translate: float = Field(0.2, ge=0, le=1, description="largest shift, as a share of the side")
    zoom: float = Field(0.2, ge=0, lt=1, description="largest zoom in or out, as a share")
    rotate: float = Field(10.0, ge=0, le=180, description="largest rotation in degrees")
    affine_prob: float = Field(0.7, ge=0, le=1, description="probability of shift, scale and rotation")
    cutout_prob: float = Field(0.5, ge=0, le=1, description="probability of a cutout hole")
    cutout_size: float = Field(
        0.4, gt=0, lt=1, description="side of the hole, as a share of the image's side"
    )

    @model_validator(mode="after")
    def _quality(self) -> Self:
        if not 1 <= self.quality[0] <= self.quality[1] <= 100:
            raise ValueError(f"quality must rise within 1 to 100, not {self.quality}")
        return self

    def __call__(self, image: Pixels, size: int, rng: np.random.Generator) -> Pixels:
        from kit.images.recompress import compress

        height, width = image.shape[:2]
        side = min(height, width)
        top, left = rng.integers((height - side + 1, width - side + 1)).tolist()
        augmented = resize_square(image[top : top + side, left : left + side], size)
        if rng.random() < self.hflip:
            augmented = mirror(augmented)
        if rng.random() < self.compression_prob:
            augmented = compress(augmented, int(rng.integers(self.quality[0], self.quality[1] + 1)))
        turn, grow, *shift = rng.uniform(-1, 1, 4).tolist()
        if rng.random() < self.affine_prob:
            across, down = (size * self.translate * share for share in shift)
            augmented = warp(
                augmented, affine(size, turn * self.rotate, 1 + grow * self.zoom, across, down), size, 0
            )
        if rng.random() < self.cutout_prob:
            hole = int(size * self.cutout_size)
            top, left = rng.integers(size - hole + 1, size=2).tolist()
            augmented[top : top + hole, left : left + hole] = 0
        return augmented


def affine(size: int, turn: float, zoom: float, across: float, down: float) -> np.ndarray:
    """Returns the map (2, 3) from a pixel of the result to the one that it shows, of a square of side `size`.

    The image is rotated by `turn` degrees and zoomed in about its middle, then shifted by pixels, as in
    albumentations' Affine.
    """
    import numpy as np

    cosine, sine = math.cos(math.radians(turn)) / zoom, -math.sin(math.radians(turn)) / zoom
    middle = (size - 1) / 2
    x = middle - cosine * (middle + across) - sine * (middle + down)
    y = middle + sine * (middle + across) - cosine * (middle + down)
    return np.array([[cosine, sine, x], [-sine, cosine, y]])
