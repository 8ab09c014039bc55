"""Vote: the share of the nearest images that are of a class."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from kit.kinds import RetrievedNeighbours, Scorer
from kit.plugins.scorer._scores import average_values, by_class


class Vote(Scorer):
    """Each class's share of the k nearest images; of numbers and shares their mean.

    Source: sklearn.neighbors.KNeighborsClassifier and KNeighborsRegressor, weights "uniform".
    """

    label_kinds = ("class_index", "numbers", "soft")

    k: int = Field(5, ge=1, description="number of neighbours")

    def neighbours(self) -> int:
        return self.k

    def score(self, near: RetrievedNeighbours) -> np.ndarray:
        votes = near.top_k(self.k)
        if votes.values is not None:
            return average_values(votes, np.ones(votes.labels.shape))
        scores: np.ndarray = by_class(votes, np.ones(votes.labels.shape)) / votes.labels.shape[1]
        return scores
