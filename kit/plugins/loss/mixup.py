"""Mixup: each image is a weighted sum of two, and so is its loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from kit.plugins.loss._batch_mixing import BatchMixing, Mixed

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


class Mixup(BatchMixing):
    """Each image is share * itself + (1 - share) * another. The two labels share the loss in the same ratio.

    share ~ Beta(alpha, alpha) is drawn once per batch. The pixels become float32, still from 0 to 255.

    Source: Zhang et al. 2018, "mixup: Beyond Empirical Risk Minimization", equation 2.
    """

    alpha: float = Field(
        0.2, gt=0, description="alpha of the Beta(alpha, alpha) distribution of the mixing share"
    )

    def blend(self, images: Tensor, others: Tensor, rng: np.random.Generator) -> Mixed:
        share = float(rng.beta(self.alpha, self.alpha))
        return images.float().lerp(others.float(), 1 - share), share
