"""Copies: each image has a few fixed variants, like a folder of copies made in advance."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from pydantic import Field

from kit.core.randomness import generator
from kit.kinds import Augmenter
from kit.plugins.augmenter.albumentations import Albumentations

if TYPE_CHECKING:
    import numpy as np

    from kit.core.arrays import Pixels


def _build_pipeline() -> Augmenter:
    """Builds the default pipeline when it is needed, because it imports albumentations.

    Each copy is rotated by its own angle, so that no two copies are equal, and none is the row itself.
    """
    return Albumentations(
        transforms=(
            {"name": "SmallestMaxSize", "area_for_downscale": "image"},
            {"name": "CenterCrop"},
            {"name": "Rotate", "limit": [-20, 20], "border_mode": 4, "p": 1.0},  # 4: cv2.BORDER_REFLECT_101
            {"name": "GaussianBlur", "sigma_limit": [0.3, 1.2], "p": 0.5},
            {"name": "HorizontalFlip", "p": 0.5},
        )
    )


class Copies(Augmenter):
    """The image as in prediction, or one of `variants` fixed variants by `base`, with equal probabilities.

    This is offline augmentation without the files. A folder of copies has count + 1 fixed images of a row,
    and an epoch of count + 1 times the rows shows each once. Here an epoch shows one of the same count + 1
    images of each row. So count + 1 epochs are as long as one of the folder's, and show each image once on
    average. A variant's draws depend only on (seed, the row's pixels, the variant's number). Every epoch,
    fold, run and number of workers has the same variants. They are drawn when the row is loaded, so a copy is
    always in its row's fold.

    Source: Shorten and Khoshgoftaar 2019, "A survey on Image Data Augmentation for Deep Learning", which
    separates offline from online augmentation. The default `base` (rotation, blur, flip) is albumentations'.
    """

    variants: int = Field(
        6, ge=1, le=1000, description="number of variants of each row, in addition to the row's own image"
    )
    seed: int = Field(0, ge=0, description="seed of the variants")
    base: Augmenter = Field(default_factory=_build_pipeline, description="augmenter that makes the variants")

    def mirrors(self) -> bool:
        return self.base.mirrors()

    def takes_floats(self) -> bool:
        return self.base.takes_floats()

    def __call__(self, image: Pixels, size: int, rng: np.random.Generator) -> Pixels:
        from kit.images.reader import center_crop

        number = int(rng.integers(self.variants + 1))
        return self.variant(image, size, number) if number else center_crop(image, size)

    def variant(self, image: Pixels, size: int, number: int) -> Pixels:
        """Returns the image's variant of a number, 1 to `variants`."""
        content = hashlib.blake2b(repr(image.shape).encode(), digest_size=16)
        content.update(image.tobytes())
        return self.base(image, size, generator(self.seed, "copies", content.hexdigest(), number))
