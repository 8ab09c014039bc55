"""The transform of shifted views."""

from __future__ import annotations

import torch
import ttach
from torch import Tensor


class Shifted(ttach.base.ImageOnlyTransform):  # type: ignore[misc]  # ttach has no types
    """Moves an image by whole pixels (down, right); its border's pixels fill the gap."""

    identity_param = (0, 0)

    def __init__(self, shifts: list[tuple[int, int]]) -> None:
        super().__init__("shift", shifts)

    def apply_aug_image(self, image: Tensor, shift: tuple[int, int], **_: object) -> Tensor:
        for axis, step in zip((2, 3), shift, strict=True):
            if step:
                size = image.shape[axis]
                places = (torch.arange(size, device=image.device) - step).clamp(0, size - 1)
                image = image.index_select(axis, places)
        return image
