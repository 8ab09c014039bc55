"""R2: the share of the variance that predictions explain."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from kit.plugins.metric._values import ColumnError


class R2(ColumnError):
    """1 - squared error / variance, as a mean over columns or of all values together; 0 predicts the mean.

    A column of equal values has 1 if it is predicted exactly, else 0. `average=pooled` has one mean of all
    values, with `column_weights` as their weights. Class numbers count as 0 and 1 of each class.

    Source: sklearn.metrics.r2_score; PlantTraits 2024 (columns), CSIRO Image2Biomass (pooled, with weights).
    """

    limits = (-math.inf, 1)

    def of_sums(self, sums: Mapping[str, np.ndarray]) -> np.ndarray:
        error, variance = sums["squared"], sums["variance"]
        varies = variance > 1e-24 * sums["scale"]  # the variance of equal values is a rounding error
        explained = 1 - error / np.where(varies, variance, 1)
        return np.where(varies, explained, np.where(error > 0, 0.0, 1.0))
