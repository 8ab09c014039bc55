"""CutMix on some batches, Mixup on the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from kit.plugins.loss._batch_mixing import BatchMixing, Mixed
from kit.plugins.loss.cutmix import Cutmix
from kit.plugins.loss.mixup import Mixup

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


class CutmixOrMixup(BatchMixing):
    """Mixes each batch by CutMix or by mixup, at random.

    Source: Wightman et al. 2021, "ResNet strikes back", section 4 (mixup alpha 0.1 to 0.2, cutmix 1, either a batch).
    """

    cutmix_prob: float = Field(0.5, ge=0, le=1, description="probability of cutmix among the mixed batches")
    alpha: float = Field(1.0, gt=0, description="alpha of cutmix")
    mixup_alpha: float = Field(0.2, gt=0, description="alpha of mixup")

    def blend(self, images: Tensor, others: Tensor, rng: np.random.Generator) -> Mixed:
        if rng.random() < self.cutmix_prob:
            return Cutmix(alpha=self.alpha).blend(images, others, rng)
        return Mixup(alpha=self.mixup_alpha).blend(images, others, rng)
