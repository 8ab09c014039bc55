"""KL divergence: the distance of predicted probabilities from true shares, such as votes."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
from pydantic import Field

from kit.core.arrays import Probabilities, Targets
from kit.plugins.metric._row_mean import RowMean
from kit.plugins.metric._values import as_values


class KlDivergence(RowMean):
    """Mean over rows of sum(p log(p / q)) of true shares p and probabilities q; 0 is best.

    True shares are scaled to sum 1 in each row, as votes require. Probabilities are clipped and not scaled. A
    share of 0 costs nothing. For class numbers, where p is 0 or 1, it is log loss.

    Source: HMS Harmful Brain Activity Classification; scipy.special.rel_entr.
    """

    label_kinds = ("class_index", "soft")
    higher_is_better: ClassVar[bool] = False
    limits = (0, math.inf)

    clip: float = Field(1e-15, gt=0, lt=0.5, description="minimum distance of probabilities from 0 and 1")

    def by_row(self, truth: Targets, probabilities: Probabilities) -> np.ndarray:
        given = np.clip(probabilities.astype(np.float64), self.clip, 1 - self.clip)
        votes = as_values(truth, probabilities)
        shares = votes / votes.sum(axis=1, keepdims=True)
        logs = np.log(np.where(shares > 0, shares, 1) / given)
        divergence: np.ndarray = np.where(shares > 0, shares * logs, 0).sum(axis=1)
        # probabilities that sum to more than 1 by rounding are no better than perfect
        return np.asarray(np.maximum(divergence, 0))
