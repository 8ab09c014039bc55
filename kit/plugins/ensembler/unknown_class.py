"""Unknown class: a class without training rows, for rows whose highest probability is low."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Self

import numpy as np
from pydantic import Field, model_validator

from kit.core.arrays import Probabilities, Targets
from kit.errors import ConfigError
from kit.kinds import Ensembler, Metric, bound_field
from kit.plugins.ensembler._weights import metric_or_usual
from kit.plugins.ensembler.mean import Mean

THRESHOLDS_TRIED = 41  # quantiles of the rows' highest probabilities
MIN_THRESHOLD = 1e-7  # a row without any probability for known classes has the class


class UnknownClass(Ensembler):
    """Probabilities of `base`, with a threshold as the score of the class that means "none of the others".

    A row whose highest probability is below the threshold has the class `label`. In a ranking the label stands between
    the classes above the threshold and those below. The probability of the label by `base` is not used. The threshold
    is the best for the metric on out-of-fold rows, or is set so that `unknown_rate` of the rows lie below it.

    Raises ConfigError C29 for a label that is not a class, or if nothing sets the threshold and no row has the label.

    Source: Hendrycks and Gimpel 2017, "A Baseline for Detecting Misclassified and Out-of-Distribution Examples in
    Neural Networks".
    """

    fitted: ClassVar[bool] = True

    base: Ensembler = Field(Mean(), description="whose probabilities are compared with the threshold")
    label: str = Field("new", description="the class that stands for none of the others")
    threshold: float | None = Field(
        None, ge=0, le=1, description="minimum probability of a known class; null: fitted"
    )
    unknown_rate: float | None = Field(
        None, gt=0, lt=1, description="expected fraction of rows of the label, instead of a threshold"
    )
    metric: Metric | None = Field(
        None, description="what is made best; where none is named, the competition's"
    )

    names: tuple[str, ...] = bound_field()

    @model_validator(mode="after")
    def _one_rule(self) -> Self:
        if self.threshold is not None and self.unknown_rate is not None:
            raise ValueError("either threshold or unknown_rate")
        return self

    def fit(self, members: Probabilities, truth: Targets) -> Self:
        fitted = self.model_copy(update={"base": self.base.fit(members, truth)})
        number = self._number(members.shape[2])
        if self.threshold is not None or self.unknown_rate is not None:
            return fitted
        if not (truth == number).any():
            raise ConfigError(
                f"no training row is of class {self.label!r}, so no threshold can be fitted",
                code="C29",
                hint="ensembler.unknown_rate=0.1, with the fraction of the test rows that you expect",
            )
        blended = fitted.base.blend(members)
        metric = metric_or_usual(self.metric, members, truth, self.target)
        sign = -1.0 if metric.higher_is_better else 1.0
        highest = np.delete(blended, number, axis=1).max(axis=1)
        tried = np.unique(np.quantile(highest, np.linspace(0, 1, THRESHOLDS_TRIED)))
        costs = [sign * metric.score(truth, add_unknown(blended, number, one)) for one in tried]
        return fitted.model_copy(update={"threshold": float(np.clip(tried[int(np.argmin(costs))], 0, 1))})

    def blend(self, members: Probabilities) -> Probabilities:
        blended = self.base.blend(members)
        number = self._number(blended.shape[1])
        if self.unknown_rate is None:
            return add_unknown(blended, number, 0.0 if self.threshold is None else self.threshold)
        highest = np.delete(blended, number, axis=1).max(axis=1)
        return add_unknown(blended, number, float(np.quantile(highest, self.unknown_rate)))

    def _number(self, classes: int) -> int:
        """The label's class number; without names of classes it is the last."""
        names = self.names or (*map(str, range(classes - 1)), self.label)
        if self.label not in names:
            raise ConfigError(
                f"ensembler 'unknown_class' predicts {self.label!r}, which is not a class of the table",
                code="C29",
                hint="ensembler.label=CLASS, or data.unknown_class if no training row has it",
            )
        return names.index(self.label)

    def find_used(self, count: int) -> tuple[int, ...]:
        return self.base.find_used(count)

    def restrict(self, places: Sequence[int]) -> Self:
        return self.model_copy(update={"base": self.base.restrict(places)})


def add_unknown(shares: np.ndarray, number: int, threshold: float) -> np.ndarray:
    """Probabilities (N, K) with the threshold in the column of the unknown class, rows brought to sum 1."""
    scores = shares.astype(np.float64)
    scores[:, number] = max(threshold, MIN_THRESHOLD)
    blended: Probabilities = scores / scores.sum(axis=1, keepdims=True)
    return blended
