"""NoisyOr: the probability that at least one image of an answer shows the class."""

from __future__ import annotations

import numpy as np

from kit.core.arrays import Probabilities
from kit.kinds import Aggregator


class NoisyOr(Aggregator):
    """Probability that at least one image of an answer shows the class: 1 - product of (1 - p).

    The images count as independent, so many weak findings make a strong one. `max` and `top_k_mean` do not grow with
    the number of images. If one label is given, rows are made to sum to 1.

    Source: Maron and Lozano-Perez 1998, "A Framework for Multiple-Instance Learning", section 3.
    """

    label_kinds = ("class_index", "multi_hot")

    def combine(self, images: Probabilities) -> Probabilities:
        logs = np.log1p(-np.minimum(images, 1 - 1e-12)).sum(axis=1)
        return self.normalise(-np.expm1(logs))
