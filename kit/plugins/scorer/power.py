"""Power: near images count more than far ones, by a power of their cosine."""

from __future__ import annotations

import numpy as np

from kit.kinds import RetrievedNeighbours
from kit.plugins.scorer._scores import average_values, by_class, raise_to_power
from kit.plugins.scorer._similarity_power import PowerWeighted


class Power(PowerWeighted):
    """The sum of cos^power of each class over the k nearest images, normalised to sum 1.

    Of numbers and shares it is the mean over the k nearest images, weighted by cos^power.

    Source: Dudani 1976, "The Distance-Weighted k-Nearest-Neighbor Rule", with cos^power as the weight.
    """

    label_kinds = ("class_index", "numbers", "soft")

    def by_class(self, near: RetrievedNeighbours, power: float) -> np.ndarray:
        return by_class(near, raise_to_power(near, power))

    def score(self, near: RetrievedNeighbours) -> np.ndarray:
        if near.values is None:
            return super().score(near)
        nearest = near.top_k(self.k)
        return average_values(nearest, raise_to_power(nearest, self.power or 1.0))
