"""The image and its mirror image."""

from __future__ import annotations

from typing import Any

from kit.kinds import Views


class Hflip(Views):
    """Two views: the image and its horizontal mirror image.

    Source: Krizhevsky et al. 2012, section 4.1; ttach.HorizontalFlip.
    """

    def views(self) -> list[Any]:
        import ttach

        return [ttach.HorizontalFlip()]
