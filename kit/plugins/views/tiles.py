"""The image and the tiles of a grid over it."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from kit.kinds import Views


class Tiles(Views):
    """The image, and a grid of count * count tiles that cover it, each resized to its size.

    A tile is cut out of the image at the network's size, so it has no more detail. It helps if classes are
    small in the image. With a larger `image_size` a tile has more detail.

    Source: the 4 by 4 tiles of the second place of PlantCLEF 2025, arXiv 2507.06093.
    """

    count: int = Field(2, ge=2, le=6, description="tiles in a row and in a column")
    overlap: float = Field(
        0.25, ge=0, lt=0.9, description="overlap of neighbouring tiles, as a share of a tile's side"
    )

    def views(self) -> list[Any]:
        from kit.plugins.views._crops import Cropped, grid_crops

        return [Cropped(grid_crops(self.count, self.overlap))]
