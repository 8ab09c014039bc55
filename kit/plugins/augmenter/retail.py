"""Retail: flip, image compression, shift, scale, rotate and one large hole, as winners augment photos of products."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from pydantic import Field, model_validator

from kit.kinds import Augmenter
from kit.plugins.augmenter import _albumentations

if TYPE_CHECKING:
    import numpy as np

    from kit.core.arrays import Pixels


class Retail(Augmenter):
    """Flip, JPEG compression, shift-scale-rotate over black, and a cutout hole of .4 of the side.

    The published pipeline squashes the image to the network's square; here its short side takes that size and a
    random square is cut out, so that products keep their shape. With `resize: stretch` it is the published one.
    Albumentations gives its JPEG coder red for blue, so that blocks at low quality are not quite a camera's.

    Source: Ha, Liu and Liu 2020, "Google Landmark Recognition 2020 Competition Third Place Solution", whose code has
    these transforms with these values; cutout is DeVries and Taylor 2017; run by albumentations.
    """

    hflip: float = Field(0.5, ge=0, le=1, description="share of images that are mirrored")
    quality: tuple[int, int] = Field(
        (99, 100), description="JPEG quality, 1 to 100; (60, 100) for phone photos"
    )
    compression_prob: float = Field(0.5, ge=0, le=1, description="share of images that are compressed")
    translate: float = Field(0.2, ge=0, le=1, description="largest shift, share of the side")
    zoom: float = Field(0.2, ge=0, lt=1, description="largest zoom in or out, share")
    rotate: float = Field(10.0, ge=0, le=180, description="largest turn, degrees")
    affine_prob: float = Field(
        0.7, ge=0, le=1, description="share of images that are shifted, scaled and rotated"
    )
    cutout_prob: float = Field(0.5, ge=0, le=1, description="share of images that get a hole")
    cutout_size: float = Field(0.4, gt=0, lt=1, description="side of the hole, share of the image's side")

    @model_validator(mode="after")
    def _quality(self) -> Self:
        if not 1 <= self.quality[0] <= self.quality[1] <= 100:
            raise ValueError(f"quality must rise within 1 to 100, not {self.quality}")
        return self

    def transforms(self) -> list[dict[str, Any]]:
        """The pipeline, as the config of `albumentations` would have it."""
        side = [self.cutout_size, self.cutout_size]
        return [
            {"name": "SmallestMaxSize", "area_for_downscale": "image"},
            {"name": "RandomCrop"},
            {"name": "HorizontalFlip", "p": self.hflip},
            {"name": "ImageCompression", "quality_range": self.quality, "p": self.compression_prob},
            {
                "name": "Affine",
                "p": self.affine_prob,
                "rotate": [-self.rotate, self.rotate],
                "keep_ratio": True,
                "scale": [1 - self.zoom, 1 + self.zoom],
                "translate_percent": [-self.translate, self.translate],
            },
            {
                "name": "CoarseDropout",
                "p": self.cutout_prob,
                "num_holes_range": [1, 1],
                "hole_height_range": side,
                "hole_width_range": side,
            },
        ]

    def __call__(self, image: Pixels, size: int, rng: np.random.Generator) -> Pixels:
        return _albumentations.augment(self, self.transforms, image, size, rng)
