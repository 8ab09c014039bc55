"""The transform of views of several sizes."""

from __future__ import annotations

from collections.abc import Sequence

import ttach
from torch import Tensor
from torch.nn.functional import interpolate


class Resized(ttach.base.ImageOnlyTransform):  # type: ignore[misc]  # ttach has no types
    """Resizes an image, of any dtype, by a factor of its sides; bilinear, without aliasing."""

    identity_param = 1.0

    def __init__(self, factors: Sequence[float]) -> None:
        super().__init__("factor", list(factors))

    def apply_aug_image(self, image: Tensor, factor: float, **_: object) -> Tensor:
        if factor == 1:
            return image
        sides = [max(1, round(side * factor)) for side in image.shape[2:]]
        resized = interpolate(image.float(), sides, mode="bilinear", antialias=True)
        return resized if image.is_floating_point() else resized.round().clamp(0, 255).to(image.dtype)
