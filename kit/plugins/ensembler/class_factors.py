"""Class factors: one factor per class, so that rare classes win rows if the metric rewards it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Self

import numpy as np
from pydantic import Field

from kit.core.arrays import Probabilities, Targets
from kit.errors import ConfigError
from kit.kinds import Ensembler, Metric
from kit.kinds.metric_shortcuts import score_decisions, scores_confusion
from kit.plugins.ensembler._weights import metric_or_usual
from kit.plugins.ensembler.mean import Mean

MAX_SWEEPS = 5  # over all classes, fewer if one changes nothing
GRID_POINTS = 17  # factors that are tried for a class
MIN_GAIN = 1e-9


class ClassFactors(Ensembler):
    """Probabilities of `base` times one factor per class, searched class by class for the best metric.

    For metrics of decisions such as macro F1, for which a rare class may win with less than the largest
    share. The factors act on each fold's model before the test rows' mean. Rows sum to 1 again, but are not
    calibrated.

    Source: the plug-in rule with class weights, Narasimhan et al. 2015, "Consistent Multiclass Algorithms for Complex
    Performance Measures", theorem 2; found by coordinate search.
    """

    fitted: ClassVar[bool] = True

    base: Ensembler = Field(Mean(), description="ensembler whose probabilities are weighted")
    metric: Metric | None = Field(None, description="metric to optimise; null: the competition's")
    max_factor: float = Field(4.0, gt=1, le=100, description="largest factor; the smallest is 1 / max_factor")
    factors: tuple[float, ...] = Field((), description="fitted, do not set: one value per class")

    def fit(self, members: Probabilities, truth: Targets) -> Self:
        base = self.base.fit(members, truth)
        factors = best_factors(
            metric_or_usual(self.metric, members, truth, self.target),
            base.blend(members),
            truth,
            self.max_factor,
        )
        return self.model_copy(update={"base": base, "factors": tuple(factors.tolist())})

    def blend(self, members: Probabilities) -> Probabilities:
        return weigh(self.base.blend(members), self.factors)

    def find_used(self, count: int) -> tuple[int, ...]:
        return self.base.find_used(count)

    def restrict(self, places: Sequence[int]) -> Self:
        return self.model_copy(update={"base": self.base.restrict(places)})


def weigh(shares: np.ndarray, factors: tuple[float, ...] | np.ndarray) -> np.ndarray:
    """Multiplies probabilities (N, K) by factors (K,), and scales rows to sum 1. Empty factors change nothing."""
    if not len(factors):
        return shares
    if len(factors) != shares.shape[1]:
        raise ConfigError(f"{len(factors)} factors for {shares.shape[1]} classes", code="C21")
    blended = shares * np.asarray(factors)
    sums = blended.sum(axis=1, keepdims=True)
    return np.where(sums > 0, blended / np.where(sums > 0, sums, 1), shares)


def best_factors(metric: Metric, shares: np.ndarray, truth: Targets, most: float) -> np.ndarray:
    """Returns factors (K,) for probabilities (N, K).

    Each class's factor is the best given the others', those near 1 first.
    """
    sign = -1.0 if metric.higher_is_better else 1.0
    grid = np.geomspace(1 / most, most, GRID_POINTS)
    grid = grid[np.argsort(np.abs(np.log(grid)), kind="stable")]
    factors = np.ones(shares.shape[1])
    best = sign * metric.score(truth, shares)
    for _ in range(MAX_SWEEPS):
        before = factors.copy()
        for number in range(len(factors)):
            costs = sign * _scores(metric, shares, truth, factors, number, grid)
            index = int(costs.argmin())
            if costs[index] < best - MIN_GAIN:
                best, factors[number] = float(costs[index]), grid[index]
        if (factors == before).all():
            break
    return factors


def _scores(
    metric: Metric, shares: np.ndarray, truth: Targets, factors: np.ndarray, number: int, grid: np.ndarray
) -> np.ndarray:
    """Returns the score with each factor of the grid for one class."""
    if truth.ndim == 1 and scores_confusion(metric):
        others = shares * factors
        others[:, number] = -1
        rival = others.argmax(axis=1)
        height, own = others[np.arange(len(truth)), rival], shares[:, number]
        predictions = (
            np.where((own * factor > height) | ((own * factor == height) & (number < rival)), number, rival)
            for factor in grid
        )
        return np.array([score_decisions(metric, truth, changed, shares.shape[1]) for changed in predictions])
    candidates = (np.where(np.arange(len(factors)) == number, factor, factors) for factor in grid)
    return np.array([metric.score(truth, weigh(shares, changed)) for changed in candidates])
