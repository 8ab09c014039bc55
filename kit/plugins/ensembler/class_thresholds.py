"""Class thresholds: the best one per class for the metric, for rows that may have several labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Self

import numpy as np
from pydantic import Field

from kit.core.arrays import Probabilities, Targets
from kit.errors import ConfigError
from kit.kinds import Ensembler, Metric
from kit.plugins.ensembler._weights import metric_or_usual
from kit.plugins.ensembler.mean import Mean

MAX_SWEEPS = 3  # over all classes, fewer if one changes nothing
MIN_GAIN = 1e-9
EDGE = 1e-7  # minimum distance of probabilities from 0 and 1


class ClassThresholds(Ensembler):
    """Probabilities of `base`, moved so that each class's best threshold becomes the competition's.

    For metrics of decisions such as macro F1, whose best threshold for a rare class is often below 0.5. Let q
    be the class's threshold and t that of `decision` in config.json. The odds p / (1 - p) are divided by q /
    (1 - q) and multiplied by t / (1 - t). Each class's threshold is the best given the others', from a grid
    of `steps`. It acts on each fold's model before the test rows' mean.

    Source: Lipton, Elkan and Naryanaswamy 2014, "Thresholding Classifiers to Maximize F1 Score"; coordinate search.
    """

    label_kinds = ("multi_hot",)
    fitted: ClassVar[bool] = True

    base: Ensembler = Field(Mean(), description="ensembler whose probabilities are moved")
    metric: Metric | None = Field(None, description="metric to optimise; null: the competition's")
    steps: int = Field(
        19, ge=1, le=999, description="number of thresholds to try per class, evenly between 0 and 1"
    )
    thresholds: tuple[float, ...] = Field((), description="fitted, do not set: one value per class")

    def fit(self, members: Probabilities, truth: Targets) -> Self:
        base = self.base.fit(members, truth)
        thresholds = best_thresholds(
            metric_or_usual(self.metric, members, truth, self.target),
            base.blend(members),
            truth,
            self.steps,
            self.decision.threshold,
        )
        return self.model_copy(update={"base": base, "thresholds": tuple(thresholds.tolist())})

    def blend(self, members: Probabilities) -> Probabilities:
        blended = self.base.blend(members)
        if self.thresholds and len(self.thresholds) != blended.shape[1]:
            text = f"{len(self.thresholds)} thresholds for {blended.shape[1]} classes"
            raise ConfigError(text, code="C21")
        if not self.thresholds:
            return blended
        return move_thresholds(blended, np.asarray(self.thresholds), self.decision.threshold)

    def find_used(self, count: int) -> tuple[int, ...]:
        return self.base.find_used(count)

    def restrict(self, places: Sequence[int]) -> Self:
        return self.model_copy(update={"base": self.base.restrict(places)})


def move_thresholds(shares: np.ndarray, thresholds: np.ndarray, to: float = 0.5) -> np.ndarray:
    """Moves probabilities (N, K) so that the thresholds (K,) become `to`."""
    clipped, to = np.clip(shares, EDGE, 1 - EDGE), min(max(to, EDGE), 1 - EDGE)
    yes, no = clipped * (1 - thresholds) * to, (1 - clipped) * thresholds * (1 - to)
    probabilities: Probabilities = yes / (yes + no)
    return probabilities


def best_thresholds(
    metric: Metric, shares: np.ndarray, truth: Targets, steps: int, to: float = 0.5
) -> np.ndarray:
    """Returns thresholds (K,) for probabilities (N, K); among equals those nearest to `to`, the competition's."""
    sign = -1.0 if metric.higher_is_better else 1.0
    grid = np.arange(1, steps + 1) / (steps + 1)
    grid = grid[np.argsort(np.abs(grid - to), kind="stable")]
    start = min(max(to, EDGE), 1 - EDGE)
    thresholds = np.full(shares.shape[1], start)
    now = move_thresholds(shares, thresholds, to)
    best = sign * metric.score(truth, now)
    for _ in range(MAX_SWEEPS):
        before = thresholds.copy()
        for number in range(len(thresholds)):
            column = shares[:, [number]]
            for threshold in grid:
                moved = now.copy()
                moved[:, [number]] = move_thresholds(column, np.array([threshold]), to)
                cost = sign * metric.score(truth, moved)
                if cost < best - MIN_GAIN:
                    best, thresholds[number], now = cost, threshold, moved
        if (thresholds == before).all():
            break
    return thresholds
