"""The transform of chosen views of a set."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import ttach
from torch import Tensor


class SubsetView(ttach.base.ImageOnlyTransform):  # type: ignore[misc]  # ttach has no types
    """Shows an image transformed by each of some functions."""

    identity_param = None

    def __init__(self, views: Sequence[Callable[[Tensor], Tensor]]) -> None:
        super().__init__("view", list(views))

    def apply_aug_image(self, image: Tensor, view: Callable[[Tensor], Tensor], **_: object) -> Tensor:
        return view(image)
