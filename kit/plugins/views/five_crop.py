"""The image, its corners and its centre."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from kit.kinds import Views


class FiveCrop(Views):
    """Six views: the image, and crops of its four corners and its centre, resized to its size.

    Source: Krizhevsky et al. 2012, "ImageNet Classification with Deep Convolutional Neural Networks", section 4.1.
    """

    share: float = Field(0.875, ge=0.25, lt=1, description="side of a crop, as a share of the image's")

    def views(self) -> list[Any]:
        from kit.plugins.views._crops import Cropped, five_crops

        return [Cropped(five_crops(self.share))]
