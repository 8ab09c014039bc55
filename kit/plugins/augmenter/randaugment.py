"""RandAugment: a random crop and flip, then a few random operations of one strength."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from kit.kinds import Augmenter
from kit.plugins.augmenter import _torchvision

if TYPE_CHECKING:
    import numpy as np

    from kit.core.arrays import Pixels


class Randaugment(Augmenter):
    """Random resized crop and flip, then `operations` random ones of the paper's fourteen, at one `magnitude`.

    They are: identity, autocontrast, equalize, rotate, posterize, solarize, colour, contrast, brightness, sharpness,
    shear and shift along both axes; of a magnitude from 0 to 30, as torchvision scales them. Two numbers are all there
    is to search. What leaves the image is grey.

    Source: Cubuk et al. 2020, "RandAugment: Practical automated data augmentation with a reduced search space",
    section 3; torchvision.transforms.v2.RandAugment.
    """

    operations: int = Field(2, ge=0, le=14, description="operations on an image, the paper's N")
    magnitude: int = Field(9, ge=0, le=30, description="strength of each, the paper's M")
    scale: tuple[float, float] = Field((0.35, 1.0), description="share of the image's area that a crop keeps")
    hflip: float = Field(0.5, ge=0, le=1, description="share of images that are mirrored")
    fill: int = Field(128, ge=0, le=255, description="value of pixels from beyond the border")

    def transforms(self) -> list[dict[str, Any]]:
        """The pipeline, as the config of `torchvision` would have it."""
        return [
            {"name": "RandomResizedCrop", "scale": self.scale},
            {"name": "RandomHorizontalFlip", "p": self.hflip},
            {
                "name": "RandAugment",
                "num_ops": self.operations,
                "magnitude": self.magnitude,
                "interpolation": "bilinear",
                "fill": [self.fill] * 3,
            },
        ]

    def __call__(self, image: Pixels, size: int, rng: np.random.Generator) -> Pixels:
        return _torchvision.augment(self.transforms(), image, size, rng)
