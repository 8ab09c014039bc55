"""The image and small shifts of it, for images that flips would spoil (digits, text)."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from kit.kinds import Views


class Shift(Views):
    """Five views: the image, and the image shifted up, down, left and right. Border pixels fill the gap.

    Source: the translations of Krizhevsky et al. 2012, section 4.1, as a ttach transform.
    """

    pixels: int = Field(1, ge=1, le=512, description="shift in pixels of the network's input")

    def views(self) -> list[Any]:
        from kit.plugins.views._shifted import Shifted

        step = self.pixels
        return [Shifted([(0, 0), (step, 0), (-step, 0), (0, step), (0, -step)])]
