"""Mean average precision at k: the rank of the true class in a ranked answer."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from kit.core.arrays import Probabilities, Targets
from kit.plugins.metric._row_mean import RowMean
from kit.plugins.metric._top_k import true_ranks


class MapAtK(RowMean):
    """Mean of 1 / rank of the true class among the k most probable ones, or 0 if it is not one of them.

    Source: MAP@5 of Humpback Whale Identification 2019 and Happywhale 2022, for one label per row. Of equal
    probabilities the first class ranks first.
    """

    limits = (0, 1)

    k: int = Field(5, ge=1, description="number of ranked classes")

    def by_row(self, truth: Targets, probabilities: Probabilities) -> np.ndarray:
        rank = true_ranks(truth, probabilities)
        return np.where(rank <= self.k, 1 / rank, 0.0)
