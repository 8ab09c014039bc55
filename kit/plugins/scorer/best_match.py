"""Best match: the class of the most similar training image."""

from __future__ import annotations

import numpy as np

from kit.kinds import RetrievedNeighbours, Scorer
from kit.plugins.scorer._scores import by_class


class BestMatch(Scorer):
    """The class of the nearest image, with probability 1.

    Its probabilities are 0 and 1, without a confidence; `power` has one.

    Source: the nearest neighbour rule, Cover and Hart 1967, "Nearest Neighbor Pattern Classification".
    """

    def neighbours(self) -> int:
        return 1

    def score(self, near: RetrievedNeighbours) -> np.ndarray:
        nearest = near.top_k(1)
        return by_class(nearest, np.ones((len(near), 1)))
