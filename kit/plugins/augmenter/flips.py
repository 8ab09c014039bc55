"""Flips: the square that prediction uses, mirrored and rotated."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from kit.kinds import Augmenter

if TYPE_CHECKING:
    import numpy as np

    from kit.core.arrays import Pixels


class Flips(Augmenter):
    """Centre square, flipped and rotated by multiples of 90 degrees, without interpolation.

    Source: the dihedral group D4, as in Krizhevsky et al. 2012, section 4.1 (mirroring), and its turned forms.
    """

    horizontal: bool = Field(True, description="mirror left and right")
    vertical: bool = Field(
        False, description="mirror top and bottom; for images without an up side, such as cells"
    )
    quarter_turns: bool = Field(
        False, description="rotate by 0, 90, 180 or 270 degrees with equal probability"
    )

    def mirrors(self) -> bool:
        return self.horizontal or self.vertical

    def takes_floats(self) -> bool:
        return True

    def __call__(self, image: Pixels, size: int, rng: np.random.Generator) -> Pixels:
        import cv2

        from kit.images.channels import in_groups
        from kit.images.reader import center_crop

        square = center_crop(image, size)
        if self.horizontal and rng.random() < 0.5:
            square = in_groups(lambda part: cv2.flip(part, 1), square)
        if self.vertical and rng.random() < 0.5:
            square = in_groups(lambda part: cv2.flip(part, 0), square)
        quarters = int(rng.integers(4)) if self.quarter_turns else 0
        return in_groups(lambda part: cv2.rotate(part, quarters - 1), square) if quarters else square
