"""All eight flips and quarter turns of a square."""

from __future__ import annotations

from typing import Any

from kit.kinds import Views


class D4(Views):
    """Eight views: the symmetries of a square, flips times quarter turns.

    Source: the dihedral group D4; ttach.aliases.d4_transform.
    """

    def views(self) -> list[Any]:
        import ttach

        return [ttach.HorizontalFlip(), ttach.Rotate90(angles=[0, 90, 180, 270])]
