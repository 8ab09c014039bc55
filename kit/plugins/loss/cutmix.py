"""CutMix: replaces a box of each image by the same box of another, and mixes the labels by area."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kit.plugins.loss._batch_mixing import BatchMixing, Mixed

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


class Cutmix(BatchMixing):
    """Replaces a box of each image by another image's. The two labels share the loss by area.

    The image keeps a share ~ Beta(alpha, alpha). The box has the side ratio sqrt(1 - share) and a uniform
    centre, and is clipped at the border. The share is then computed again from the clipped box.

    Source: Yun et al. 2019, "CutMix: Regularization Strategy to Train Strong Classifiers", section 3.1, algorithm A1.
    """

    def blend(self, images: Tensor, others: Tensor, rng: np.random.Generator) -> Mixed:
        height, width = images.shape[2:]
        top, bottom, left, right = box(height, width, 1 - rng.beta(self.alpha, self.alpha), rng)
        mixed = images.clone()
        mixed[:, :, top:bottom, left:right] = others[:, :, top:bottom, left:right]
        return mixed, 1 - (bottom - top) * (right - left) / (height * width)


def box(height: int, width: int, area: float, rng: np.random.Generator) -> tuple[int, int, int, int]:
    """Returns top, bottom, left, right of a box of about `area` (0 to 1) of the image, clipped at its border."""
    side = area**0.5
    tall, wide = int(height * side), int(width * side)
    middle, centre = int(rng.integers(height)), int(rng.integers(width))
    top, bottom = max(middle - tall // 2, 0), min(middle + tall // 2, height)
    left, right = max(centre - wide // 2, 0), min(centre + wide // 2, width)
    return top, bottom, left, right
