"""Power: near images count more than far ones, by a power of their cosine."""

from __future__ import annotations

import numpy as np

from kit.kinds import Neighbours
from kit.plugins.scorer._scores import by_class, powered
from kit.plugins.scorer._similarity_power import Powered


class Power(Powered):
    """The sum of cos^power of each class over the k nearest images, normalised to sum 1.

    Source: Dudani 1976, "The Distance-Weighted k-Nearest-Neighbor Rule", with cos^power as the weight.
    """

    def by_class(self, near: Neighbours, power: float) -> np.ndarray:
        return by_class(near, powered(near, power))
