"""Trimmed mean: the members' mean without the lowest and highest predictions; at the extreme the median."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from kit.core.arrays import Probabilities
from kit.kinds import Ensembler


class TrimmedMean(Ensembler):
    """Mean of the members' predictions of each value without the lowest and the highest; 0.5 is the median.

    Of M members, floor(trim * M) are left out at each end. So one member that fails on a row does little
    harm. Rows of probabilities are scaled to sum 1 again.

    Source: scipy.stats.trim_mean, numpy.median.
    """

    label_kinds = ("class_index", "multi_hot", "numbers", "soft")

    trim: float = Field(
        0.5,
        ge=0,
        le=0.5,
        description="fraction of the members that is left out at each end; 0.5 is the median",
    )

    def blend(self, members: Probabilities) -> Probabilities:
        from scipy.stats import trim_mean

        values = members.astype(np.float64)
        blended = np.median(values, axis=0) if self.trim == 0.5 else trim_mean(values, self.trim, axis=0)
        empty = blended.sum(axis=1) == 0
        if self.target.sums_to_one and empty.any():  # half of the members doubted each class
            blended[empty] = values.mean(axis=0)[empty]
        return self.normalise(blended)
