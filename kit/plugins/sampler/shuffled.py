"""Shuffled: every row once per epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kit.kinds import Sampler

if TYPE_CHECKING:
    import numpy as np


class Shuffled(Sampler):
    """Every row once per epoch, in a new random order.

    Source: sampling without replacement, as torch.utils.data.RandomSampler.
    """

    label_kinds = ("class_index", "multi_hot", "numbers", "soft", "several")

    def order(self, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return rng.permutation(len(labels))
