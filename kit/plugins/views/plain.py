"""The image as it is."""

from __future__ import annotations

from typing import Any

from kit.kinds import Views


class Plain(Views):
    """One view: the image as it is.

    Source: the prediction without test-time augmentation, against which every other set of views is measured.
    """

    def views(self) -> list[Any]:
        return []
