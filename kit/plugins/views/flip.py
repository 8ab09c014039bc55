"""The image, flipped left for right, top for bottom, and both."""

from __future__ import annotations

from typing import Any

from kit.kinds import Views


class Flip(Views):
    """Four views: all flips.

    Source: ttach.aliases.flip_transform.
    """

    def views(self) -> list[Any]:
        import ttach

        return [ttach.HorizontalFlip(), ttach.VerticalFlip()]
