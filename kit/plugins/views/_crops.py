"""The transform of views of crops."""

from __future__ import annotations

from collections.abc import Sequence

import ttach
from torch import Tensor
from torch.nn.functional import interpolate

WHOLE = (0.0, 0.0, 1.0)
Crop = tuple[float, float, float]  # its top and left position, and its side, as shares of the image's


class Cropped(ttach.base.ImageOnlyTransform):  # type: ignore[misc]  # ttach has no types
    """Cuts a crop out of an image, of any dtype, and resizes it to the image's size; bilinear, without aliasing."""

    identity_param = WHOLE

    def __init__(self, crops: Sequence[Crop]) -> None:
        super().__init__("crop", list(crops))

    def apply_aug_image(self, image: Tensor, crop: Crop, **_: object) -> Tensor:
        if crop == WHOLE:
            return image
        height, width = image.shape[2:]
        down, right, share = crop
        sides = [max(1, round(side * share)) for side in (height, width)]
        top, left = (round(begin * side) for begin, side in ((down, height), (right, width)))
        top, left = min(top, height - sides[0]), min(left, width - sides[1])
        cut = image[:, :, top : top + sides[0], left : left + sides[1]]
        resized = interpolate(cut.float(), (height, width), mode="bilinear", antialias=True)
        return resized if image.is_floating_point() else resized.round().clamp(0, 255).to(image.dtype)


def five_crops(share: float) -> list[Crop]:
    """Returns the whole image, its corners and its centre."""
    rest = 1 - share
    places = [(0.0, 0.0), (0.0, rest), (rest, 0.0), (rest, rest), (rest / 2, rest / 2)]
    return [WHOLE, *((down, right, share) for down, right in places)]


def grid_crops(count: int, overlap: float) -> list[Crop]:
    """Returns the whole image, then count * count tiles that cover it, in rows.

    Neighbours share `overlap` of a side.
    """
    share = 1 / (count - (count - 1) * overlap)
    starts = [number * share * (1 - overlap) for number in range(count)]
    return [WHOLE, *((down, right, share) for down in starts for right in starts)]
