"""Log loss: minus the mean log of the true class's probability."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
from pydantic import Field

from kit.core.arrays import Probabilities, Targets
from kit.kinds import Metric
from kit.kinds.metric_shortcuts import true_class_probability


class LogLoss(Metric):
    """Minus the mean log of the true class's probability. Rows are normalised and clipped away from 0 and 1.

    Where a row may have several labels: the mean over rows and classes of minus the log probability of the right
    answer, yes or no (binary cross-entropy).

    Source: sklearn.metrics.log_loss.
    """

    label_kinds = ("numbers", "multi_hot")
    higher_is_better: ClassVar[bool] = False
    limits = (0, math.inf)

    clip: float = Field(1e-15, gt=0, lt=0.5, description="probabilities are kept this far from 0 and 1")

    def score(self, truth: Targets, probabilities: Probabilities) -> float:
        return float(self.of_true(true_class_probability(truth, probabilities)).mean())

    def of_true(self, shares: np.ndarray) -> np.ndarray:
        losses: np.ndarray = -np.log(np.clip(shares, self.clip, 1 - self.clip))
        return losses
