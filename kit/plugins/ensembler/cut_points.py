"""Cut points: the borders between grades with the best metric."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, Self

import numpy as np
from pydantic import Field

from kit.core.arrays import Probabilities, Targets
from kit.errors import ConfigError
from kit.kinds import Ensembler, Metric
from kit.kinds.metric_shortcuts import score_decisions, scores_confusion
from kit.plugins.ensembler._weights import metric_or_usual
from kit.plugins.ensembler.mean import Mean

MAX_CANDIDATES = 200  # positions that are tried for a cut point, evenly among the rows
MAX_SWEEPS = 20  # over all cut points, fewer if one changes nothing
MIN_GAIN = 1e-9

Cuts = tuple[float, ...]


class CutPoints(Ensembler):
    """The grade into whose range the expected grade of `base` falls; the ranges are searched for the best metric.

    Grades are the classes in their order: by number, or as `data.class_list` lists them. The expected grade
    is the sum of p_k k. Each cut point is moved to the best position given the others, until none moves. The
    search starts from rounding and from the shares of the grades. Rows become certain: 1 for the grade.

    Source: OptimizedRounder of PANDA 2020 and APTOS 2019, which uses Nelder-Mead; here coordinate search.
    """

    fitted: ClassVar[bool] = True

    base: Ensembler = Field(Mean(), description="ensembler whose expected grades are cut")
    metric: Metric | None = Field(None, description="metric to optimise; null: the competition's")
    cuts: Cuts = Field((), description="fitted, do not set: lowest expected grade of each grade")

    def fit(self, members: Probabilities, truth: Targets) -> Self:
        base = self.base.fit(members, truth)
        blended = base.blend(members)
        metric = metric_or_usual(self.metric, members, truth, self.target)
        classes = blended.shape[1]

        def cost(grades: np.ndarray) -> float:
            if scores_confusion(metric):
                value = score_decisions(metric, truth, grades, classes)
            else:
                value = metric.score(truth, np.eye(classes)[grades])
            return -value if metric.higher_is_better else value

        cuts = best_cuts(expected_grades(blended), truth, classes, cost)
        return self.model_copy(update={"base": base, "cuts": tuple(cuts.tolist())})

    def blend(self, members: Probabilities) -> Probabilities:
        blended = self.base.blend(members)
        if not self.cuts:
            return blended
        if len(self.cuts) != blended.shape[1] - 1:
            raise ConfigError(f"{len(self.cuts)} cut points for {blended.shape[1]} grades", code="C21")
        return np.asarray(np.eye(blended.shape[1])[cut(expected_grades(blended), self.cuts)])

    def find_used(self, count: int) -> tuple[int, ...]:
        return self.base.find_used(count)

    def restrict(self, places: Sequence[int]) -> Self:
        return self.model_copy(update={"base": self.base.restrict(places)})


def expected_grades(shares: np.ndarray) -> np.ndarray:
    """Returns the sum of p_k k of rows (N, K), (N,)."""
    return np.asarray(shares.astype(np.float64) @ np.arange(shares.shape[1]))


def cut(values: np.ndarray, cuts: Sequence[float] | np.ndarray) -> np.ndarray:
    """Returns the number of cut points at or below each value, int64 (N,)."""
    return np.searchsorted(np.asarray(cuts), values, side="right").astype(np.int64)


def best_cuts(
    values: np.ndarray, truth: np.ndarray, classes: int, cost: Callable[[np.ndarray], float]
) -> np.ndarray:
    """Returns ascending cut points (classes - 1,) of values (N,) whose grades have the least cost."""
    places = _candidates(values)
    shares = np.cumsum(np.bincount(truth, minlength=classes))[:-1] / len(truth)
    starts = (np.arange(1, classes) - 0.5, np.quantile(values, shares))
    solutions = [_descend(values, np.asarray(start, dtype=np.float64), places, cost) for start in starts]
    return min(solutions, key=lambda cuts: cost(cut(values, cuts)))


def _candidates(values: np.ndarray) -> np.ndarray:
    """Returns midpoints between different values, of many an even choice, and a position below and above all."""
    different = np.unique(values)
    middle = (different[1:] + different[:-1]) / 2
    if len(middle) > MAX_CANDIDATES:
        middle = middle[np.linspace(0, len(middle) - 1, MAX_CANDIDATES).astype(int)]
    return np.concatenate([[different[0] - 0.5], middle, [different[-1] + 0.5]])


def _descend(
    values: np.ndarray, cuts: np.ndarray, places: np.ndarray, cost: Callable[[np.ndarray], float]
) -> np.ndarray:
    """Moves each cut point in turn to its best position between its neighbours, until none moves."""
    best = cost(cut(values, cuts))
    for _ in range(MAX_SWEEPS):
        before = cuts.copy()
        for at in range(len(cuts)):
            low = cuts[at - 1] if at else -np.inf
            high = cuts[at + 1] if at + 1 < len(cuts) else np.inf
            for threshold in places[(places >= low) & (places <= high)]:
                moved = np.concatenate([cuts[:at], [threshold], cuts[at + 1 :]])
                new_cost = cost(cut(values, moved))
                if new_cost < best - MIN_GAIN:
                    best, cuts = new_cost, moved
        if np.array_equal(cuts, before):
            break
    return cuts
