"""Prior matching: probabilities whose mean over all rows is the share of each class among the labelled rows."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from kit.core.arrays import Probabilities
from kit.plugins.ensembler._class_shares import ClassShares
from kit.plugins.ensembler.class_factors import weigh

MIN_PROBABILITY = 1e-7  # smaller probabilities count as this one, so that each class can reach its share
MIN_ROWS_PER_CLASS = 5  # with fewer rows the shares of a sample differ too much from those of all rows
MAX_STEPS = 500
TOLERANCE = 1e-6  # of a share, relative


class PriorMatching(ClassShares):
    """Probabilities of `base` times one factor per class, so that their mean over the rows is the labels' shares.

    It assumes that test rows have the classes of training rows in the same proportions. A network trained on
    other scenes than those of the test rows favours some classes, which this corrects without labels. The
    result depends on all rows of the blend. Fewer than 5 rows per class are left as they are.

    Source: Jia et al. 2021, "When in Doubt: Improving Classification Performance with Alternating Normalization",
    section 3, without its choice of rows; the factors are those of Sinkhorn and Knopp 1967.
    """

    max_factor: float = Field(
        10.0, gt=1, le=1000, description="largest factor; the smallest is 1 / max_factor"
    )

    def blend(self, members: Probabilities) -> Probabilities:
        blended = self.base.blend(members)
        if len(blended) < MIN_ROWS_PER_CLASS * len(self.shares):
            return weigh(blended, np.ones(len(self.shares)))
        return weigh(blended, find_factors(blended, np.asarray(self.shares), self.max_factor))


def find_factors(probabilities: np.ndarray, shares: np.ndarray, max_factor: float) -> np.ndarray:
    """Returns factors (K,) that give rows (N, K) of sum 1 the mean `shares` (K,), as far as the limits allow."""
    floored = np.maximum(probabilities.astype(np.float64), MIN_PROBABILITY)
    factors = np.ones(len(shares))
    if floored.shape[1] != len(shares):
        return factors  # `weigh` raises the error
    for _ in range(MAX_STEPS):
        weighed = floored * factors
        means = (weighed / weighed.sum(axis=1, keepdims=True)).mean(axis=0)
        if np.abs(means / shares - 1).max() < TOLERANCE:
            break
        before, factors = factors, np.clip(factors * shares / means, 1 / max_factor, max_factor)
        if np.abs(factors / before - 1).max() < TOLERANCE:
            break
    return factors
