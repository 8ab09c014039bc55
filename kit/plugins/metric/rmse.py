"""RMSE: the square root of the mean squared error."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from kit.plugins.metric._values import ColumnError


class Rmse(ColumnError):
    """Root mean squared error of values, as a mean over columns or of all values together; 0 is best.

    Class numbers count as 0 and 1 of each class, so it is the error of probabilities.

    Source: sklearn.metrics.root_mean_squared_error; PetFinder Pawpularity.
    """

    higher_is_better: ClassVar[bool] = False
    limits = (0, math.inf)

    def of_sums(self, sums: Mapping[str, np.ndarray]) -> np.ndarray:
        return np.asarray(np.sqrt(sums["squared"]))
