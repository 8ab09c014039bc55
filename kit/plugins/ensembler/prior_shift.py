"""Prior shift: estimates the class shares of the predicted rows from their probabilities, and uses them."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from kit.core.arrays import Probabilities
from kit.plugins.ensembler._class_shares import ClassShares
from kit.plugins.ensembler.class_factors import weigh

MIN_ROWS_PER_CLASS = 5  # with fewer rows the shares cannot be estimated
MIN_SHARE = 1e-6
MAX_STEPS = 1000
TOLERANCE = 1e-7  # of a share


class PriorShift(ClassShares):
    """Probabilities of `base` for rows whose classes have other shares than in training, found by EM without labels.

    It assumes calibrated probabilities, and that images of a class look alike in training and test. Its
    out-of-fold score is that of rows without a shift. So it shows the cost of the correction, and not its
    gain on shifted test rows. The result depends on all rows of the blend. Fewer than 5 rows per class are
    left as they are.

    The shares are the most probable ones under a Dirichlet prior. With `alpha` 1 they are the most likely ones, which
    few rows per class or unlike images push to extremes.

    Source: Saerens et al. 2002, "Adjusting the Outputs of a Classifier to New a Priori Probabilities: A Simple
    Procedure", equations 2.4 and 2.9; Sulc and Matas 2019, "Improving CNN classifiers by estimating test-time priors"
    (the Dirichlet prior).
    """

    alpha: float = Field(
        3.0, ge=1, le=1000, description="alpha of the Dirichlet prior: alpha - 1 rows are added to each class"
    )

    def blend(self, members: Probabilities) -> Probabilities:
        blended = self.base.blend(members)
        shares = np.asarray(self.shares)
        if blended.shape[1] != len(shares) or len(blended) < MIN_ROWS_PER_CLASS * len(shares):
            return weigh(blended, np.ones(len(shares)))
        return weigh(blended, estimate_shares(blended, shares, self.alpha) / shares)


def estimate_shares(probabilities: np.ndarray, shares: np.ndarray, alpha: float = 1.0) -> np.ndarray:
    """Returns the most probable class shares (K,) of rows (N, K), whose probabilities were learned at `shares` (K,)."""
    estimated = shares.astype(np.float64)
    for _ in range(MAX_STEPS):
        before = estimated
        counts = weigh(probabilities.astype(np.float64), estimated / shares).sum(axis=0) + alpha - 1
        estimated = np.maximum(counts / counts.sum(), MIN_SHARE)
        estimated /= estimated.sum()
        if np.abs(estimated - before).max() < TOLERANCE:
            break
    return estimated
