"""Max per class: the similarity of each class's most similar image."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from kit.kinds import RetrievedNeighbours
from kit.plugins.scorer._scores import best_by_class, raise_to_power
from kit.plugins.scorer._similarity_power import PowerWeighted


class MaxPerClass(PowerWeighted):
    """The largest cos^power of each class among the k nearest images, normalised to sum 1.

    It ranks classes by their best image. Use it for ranked answers, and if classes have few and dissimilar
    images.

    Source: the maximum rule of Kittler et al. 1998, "On Combining Classifiers".
    """

    k: int = Field(50, ge=1, description="number of neighbours")

    def by_class(self, near: RetrievedNeighbours, power: float) -> np.ndarray:
        return best_by_class(near, raise_to_power(near, power))
