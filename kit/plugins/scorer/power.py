"""Power: near images count more than far ones, by a power of their cosine."""

from __future__ import annotations

import numpy as np

from kit.kinds import RetrievedNeighbours
from kit.plugins.scorer._scores import by_class, raise_to_power
from kit.plugins.scorer._similarity_power import PowerWeighted


class Power(PowerWeighted):
    """The sum of cos^power of each class over the k nearest images, normalised to sum 1.

    Source: Dudani 1976, "The Distance-Weighted k-Nearest-Neighbor Rule", with cos^power as the weight.
    """

    def by_class(self, near: RetrievedNeighbours, power: float) -> np.ndarray:
        return by_class(near, raise_to_power(near, power))
