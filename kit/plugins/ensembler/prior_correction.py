"""Prior correction: probabilities for the class frequencies that the metric implies, not those of training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Self

import numpy as np
from pydantic import Field

from kit.core.arrays import Probabilities, Targets
from kit.kinds import Ensembler, Metric
from kit.plugins.ensembler._weights import metric_or_usual
from kit.plugins.ensembler.class_factors import MIN_GAIN, weigh
from kit.plugins.ensembler.mean import Mean

POWERS = np.linspace(0, 1.5, 16)


class PriorCorrection(Ensembler):
    """Probabilities of `base` divided by a power of each class's share of the rows.

    The power is chosen by the metric.

    It fits one number; `class_factors` fits one per class. It is the safer choice for many classes or few
    rows. It acts on each fold's model before the test rows' mean.

    Source: Saerens et al. 2002, "Adjusting the Outputs of a Classifier to New a Priori Probabilities", equation 2.4;
    the power as tau of Menon et al. 2021, "Long-tail learning via logit adjustment", equation 8.
    """

    fitted: ClassVar[bool] = True

    base: Ensembler = Field(Mean(), description="ensembler whose probabilities are corrected")
    metric: Metric | None = Field(None, description="metric to optimise; null: the competition's")
    tau: float | None = Field(None, ge=0, le=3, description="exponent; null: fitted")
    shares: tuple[float, ...] = Field((), description="fitted, do not set: share of each class")

    def fit(self, members: Probabilities, truth: Targets) -> Self:
        base = self.base.fit(members, truth)
        counts = np.bincount(truth, minlength=members.shape[2]) + 1  # a class may have no row
        shares = counts / counts.sum()
        tau = self.tau
        if tau is None:
            tau = best_power(
                metric_or_usual(self.metric, members, truth, self.target), base.blend(members), truth, shares
            )
        return self.model_copy(update={"base": base, "tau": tau, "shares": tuple(shares.tolist())})

    def blend(self, members: Probabilities) -> Probabilities:
        return weigh(self.base.blend(members), np.asarray(self.shares) ** -(self.tau or 0.0))

    def find_used(self, count: int) -> tuple[int, ...]:
        return self.base.find_used(count)

    def restrict(self, places: Sequence[int]) -> Self:
        return self.model_copy(update={"base": self.base.restrict(places)})


def best_power(metric: Metric, blended: np.ndarray, truth: Targets, shares: np.ndarray) -> float:
    """Returns the power of POWERS with the best score, the smallest among equals."""
    sign = -1.0 if metric.higher_is_better else 1.0
    costs = np.array([sign * metric.score(truth, weigh(blended, shares**-power)) for power in POWERS])
    return float(POWERS[np.flatnonzero(costs <= costs.min() + MIN_GAIN)[0]])
