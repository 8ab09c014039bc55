"""Resize: the geometry that prediction uses, without any draw."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from kit.kinds import Augmenter

if TYPE_CHECKING:
    import numpy as np

    from kit.core.arrays import Pixels


class Resize(Augmenter):
    """Centre square at the network's size, as in prediction. Nothing is random.

    Source: kit.images.reader.center_crop.
    """

    center_crop: float = Field(1.0, gt=0, le=1, description="side of the crop, as a share of the short side")

    def takes_floats(self) -> bool:
        return True

    def __call__(self, image: Pixels, size: int, rng: np.random.Generator) -> Pixels:
        from kit.images.reader import center_crop

        return center_crop(image, size, self.center_crop)
