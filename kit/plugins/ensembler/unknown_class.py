"""Unknown class: a class without training rows, for rows whose highest probability is low."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal, Self

import numpy as np
from pydantic import Field

from kit.core.arrays import Probabilities, Targets
from kit.kinds import Ensembler
from kit.kinds.open_set import OpenSet
from kit.plugins.ensembler._weights import metric_or_usual
from kit.plugins.ensembler.mean import Mean

MIN_PROBABILITY = 1e-7  # of the class, so that a row without any probability for known classes has it
MIN_CERTAINTY = 1e-6  # so that the class has a finite score


class UnknownClass(OpenSet, Ensembler):
    """Probabilities of `base`, with a threshold as the score of the class that means "none of the others".

    A row whose highest probability is below the threshold has the class `label`. In a ranking the label
    stands between the classes above the threshold and those below. The label's probability by `base` is not
    used. The threshold is the best for the metric on out-of-fold rows, or is set so that `unknown_rate` of
    the rows lie below it.

    With `by` entropy, the certainty of a row is compared instead: 1 - entropy / log(known classes), from 0 to 1. The
    label's score is then the highest probability times threshold / certainty.

    Raises ConfigError C29 for a label that is not a class, or if no threshold is set and no row has the
    label.

    Source: Hendrycks and Gimpel 2017, "A Baseline for Detecting Misclassified and Out-of-Distribution Examples in
    Neural Networks"; entropy as the first place of UBC-OCEAN 2024 used it for the class Other.
    """

    fitted: ClassVar[bool] = True

    base: Ensembler = Field(
        Mean(), description="ensembler whose probabilities are compared with the threshold"
    )
    by: Literal["probability", "entropy"] = Field(
        "probability", description="value that is compared with the threshold"
    )
    threshold: float | None = Field(
        None, ge=0, le=1, description="threshold below which a row has the class `label`; null: fitted"
    )

    def needs_fit(self) -> bool:
        return (self.threshold is None and self.unknown_rate is None) or self.base.needs_fit()

    def fit(self, members: Probabilities, truth: Targets) -> Self:
        fitted = self.model_copy(update={"base": self.base.fit(members, truth)})
        number = self.label_number(members.shape[2])
        if self.threshold is not None or self.unknown_rate is not None:
            return fitted
        blended = fitted.base.blend(members)
        metric = metric_or_usual(self.metric, members, truth, self.target)
        sign = -1.0 if metric.higher_is_better else 1.0
        candidates = self.thresholds_to_try(self._measure(blended, number), truth, number)
        costs = [
            sign * metric.score(truth, self._add(blended, number, threshold)) for threshold in candidates
        ]
        return fitted.model_copy(
            update={"threshold": float(np.clip(candidates[int(np.argmin(costs))], 0, 1))}
        )

    def blend(self, members: Probabilities) -> Probabilities:
        blended = self.base.blend(members)
        number = self.label_number(blended.shape[1])
        if self.unknown_rate is None:
            return self._add(blended, number, 0.0 if self.threshold is None else self.threshold)
        least = float(np.quantile(self._measure(blended, number), self.unknown_rate))
        return self._add(blended, number, least)

    def _measure(self, shares: np.ndarray, number: int) -> np.ndarray:
        """Returns the value of each row that is compared with the threshold, (N,)."""
        known = np.delete(shares, number, axis=1)
        return known.max(axis=1) if self.by == "probability" else find_certainty(known)

    def _add(self, shares: np.ndarray, number: int, threshold: float) -> Probabilities:
        """Returns probabilities (N, K) with the score of the unknown class in its column, rows scaled to sum 1."""
        if self.by == "probability":
            return add_unknown(shares, number, np.full(len(shares), threshold))
        known = np.delete(shares.astype(np.float64), number, axis=1)
        ratio = threshold / np.maximum(find_certainty(known), MIN_CERTAINTY)
        return add_unknown(shares, number, known.max(axis=1) * ratio)

    def find_used(self, count: int) -> tuple[int, ...]:
        return self.base.find_used(count)

    def restrict(self, places: Sequence[int]) -> Self:
        return self.model_copy(update={"base": self.base.restrict(places)})


def find_certainty(shares: np.ndarray) -> np.ndarray:
    """Returns 1 - entropy / log(K) of rows (N, K), from 0 to 1: 0 for equal probabilities, and 1 for a single class."""
    sums = shares.sum(axis=1, keepdims=True, dtype=np.float64)
    if shares.shape[1] < 2:
        return np.where(sums[:, 0] > 0, 1.0, 0.0)
    rows = np.where(sums > 0, shares / np.where(sums > 0, sums, 1), 1 / shares.shape[1])
    entropy = -(rows * np.log(np.where(rows > 0, rows, 1))).sum(axis=1)
    return np.asarray(np.clip(1 - entropy / np.log(shares.shape[1]), 0, 1))


def add_unknown(shares: np.ndarray, number: int, values: np.ndarray) -> np.ndarray:
    """Returns probabilities (N, K) with one value per row in the column of the unknown class, rows scaled to sum 1."""
    scores = shares.astype(np.float64)
    scores[:, number] = np.maximum(values, MIN_PROBABILITY)
    blended: Probabilities = scores / scores.sum(axis=1, keepdims=True)
    return blended
