"""CutMix: a box of each image is replaced by the same box of another, and the labels share by area."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from kit.kinds import Loss, Outputs
from kit.plugins.loss.cross_entropy import CrossEntropy

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


class Cutmix(Loss):
    """A box of each image comes from another one, and the two labels share the loss by area.

    share ~ Beta(alpha, alpha) is what an image keeps; the box has the side ratio sqrt(1 - share), a uniform centre, is
    clipped at the border, and the share is taken again from the clipped box.

    Source: Yun et al. 2019, "CutMix: Regularization Strategy to Train Strong Classifiers", section 3.1, algorithm A1.
    """

    base: Loss = Field(CrossEntropy(), description="the loss that both labels are measured with")
    alpha: float = Field(1.0, gt=0, description="both parameters of the Beta distribution of the share kept")
    probability: float = Field(1.0, ge=0, le=1, description="share of the batches that are mixed")

    def mix(
        self, images: Tensor, labels: Tensor, rng: np.random.Generator
    ) -> tuple[Tensor, list[tuple[float, Tensor]]]:
        images, shares = self.base.mix(images, labels, rng)
        if rng.random() >= self.probability:
            return images, shares
        import torch

        height, width = images.shape[2:]
        top, bottom, left, right = box(height, width, 1 - rng.beta(self.alpha, self.alpha), rng)
        share = 1 - (bottom - top) * (right - left) / (height * width)
        partner = torch.from_numpy(rng.permutation(len(images))).to(images.device)
        mixed = images.clone()
        mixed[:, :, top:bottom, left:right] = images[partner, :, top:bottom, left:right]
        kept = [(share * weight, target) for weight, target in shares]
        pasted = [((1 - share) * weight, target[partner]) for weight, target in shares]
        return mixed, kept + pasted

    def rows(self, outputs: Tensor, labels: Tensor) -> Tensor:
        return self.base.rows(outputs, labels)

    def outputs(self) -> Outputs:
        return self.base.outputs()

    def head(self) -> str:
        return self.base.head()


def box(height: int, width: int, area: float, rng: np.random.Generator) -> tuple[int, int, int, int]:
    """Top, bottom, left, right of a box of about `area` (0 to 1) of the image, clipped at its border."""
    side = area**0.5
    tall, wide = int(height * side), int(width * side)
    middle, centre = int(rng.integers(height)), int(rng.integers(width))
    top, bottom = max(middle - tall // 2, 0), min(middle + tall // 2, height)
    left, right = max(centre - wide // 2, 0), min(centre + wide // 2, width)
    return top, bottom, left, right
