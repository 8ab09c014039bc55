"""Undersample: every class as often as the rarest one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from kit.kinds import Sampler

if TYPE_CHECKING:
    import numpy as np


class Undersample(Sampler):
    """As many rows of every class as of the rarest one, drawn again for each epoch.

    Source: random undersampling, He and Garcia 2009, "Learning from Imbalanced Data", section 3.1.1.
    """

    fixed: bool = Field(False, description="use the same rows in every epoch, and never the others")

    def order(self, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        import numpy as np

        from kit.core.randomness import generator

        drawing = generator(0, "undersample", "fixed") if self.fixed else rng
        classes, counts = np.unique(labels, return_counts=True)
        least = counts.min(initial=len(labels))
        chosen = [drawing.permutation(np.flatnonzero(labels == name))[:least] for name in classes]
        return rng.permutation(np.concatenate(chosen))
