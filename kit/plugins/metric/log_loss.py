"""Log loss: minus the mean log of the true class's probability."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from kit.kinds import Metric


class LogLoss(Metric):
    """Minus the mean log of the true class's probability, rows summing to 1, clipped away from 0 and 1.

    Source: sklearn.metrics.log_loss.
    """

    higher_is_better: ClassVar[bool] = False

    clip: float = Field(1e-15, gt=0, lt=0.5, description="probabilities are kept this far from 0 and 1")

    def score(self, truth: np.ndarray, probabilities: np.ndarray) -> float:
        from sklearn.metrics import log_loss

        shares = probabilities.astype(np.float64)  # 1 - 1e-15 is 1 in float32
        shares = np.clip(shares / shares.sum(axis=1, keepdims=True), self.clip, 1 - self.clip)
        shares /= shares.sum(axis=1, keepdims=True)
        return float(log_loss(truth, shares, labels=np.arange(shares.shape[1])))
