"""The base of losses that mix two images of a batch, and share the loss between their labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from kit.kinds import Loss
from kit.plugins.loss.cross_entropy import CrossEntropy

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

Mixed = tuple["Tensor", float]  # the mixed images, and the share of the original ones


class BatchMixing(Loss):
    """Pairs each image of a batch with another one of it; `blend` mixes a pair into one image."""

    label_kinds = ("class_index", "multi_hot", "numbers", "soft", "several", "taught")

    base: Loss = Field(CrossEntropy(), description="loss of both labels")
    alpha: float = Field(
        1.0, gt=0, description="alpha of the Beta(alpha, alpha) distribution of the mixing share"
    )
    probability: float = Field(1.0, ge=0, le=1, description="fraction of the batches that is mixed")
    stop_after: float = Field(1.0, ge=0, le=1, description="fraction of the run after which mixing stops")

    def blend(self, images: Tensor, others: Tensor, rng: np.random.Generator) -> Mixed:
        """Returns images (N, 3, H, W) mixed with others of that shape, and the share of the first ones."""
        raise NotImplementedError

    def mix(
        self, images: Tensor, labels: Tensor, rng: np.random.Generator, progress: float = 0.0
    ) -> tuple[Tensor, list[tuple[float, Tensor]]]:
        images, shares = self.base.mix(images, labels, rng, progress)
        if rng.random() >= self.probability or progress >= self.stop_after:
            return images, shares
        import torch

        partner = torch.from_numpy(rng.permutation(len(images)))
        if images.device.type == "cuda":  # the copy of pageable memory would wait for the device
            partner = partner.pin_memory()
        partner = partner.to(images.device, non_blocking=True)
        mixed, share = self.blend(images, images[partner], rng)
        own = [(share * weight, target) for weight, target in shares]
        return mixed, own + [((1 - share) * weight, target[partner]) for weight, target in shares]

    def rows(self, outputs: Tensor, labels: Tensor) -> Tensor:
        return self.base.rows(outputs, labels)
