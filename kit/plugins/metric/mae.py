"""MAE: the mean absolute error."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from kit.plugins.metric._values import ColumnError


class Mae(ColumnError):
    """Mean absolute error of values, as a mean over columns or of all values together; 0 is best.

    Class numbers count as 0 and 1 of each class, so it is the error of probabilities.

    Source: sklearn.metrics.mean_absolute_error.
    """

    higher_is_better: ClassVar[bool] = False
    limits = (0, math.inf)

    def of_sums(self, sums: Mapping[str, np.ndarray]) -> np.ndarray:
        return sums["absolute"]
