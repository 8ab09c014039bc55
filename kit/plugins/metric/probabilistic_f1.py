"""Probabilistic F1: F1 of probabilities, in which each row counts as predicted by its probability."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from pydantic import Field

from kit.core.arrays import Probabilities, Targets
from kit.errors import ConfigError
from kit.kinds import Metric
from kit.plugins.metric._class_options import check_names, class_numbers
from kit.plugins.metric._multi_label import one_against_rest


class ProbabilisticF1(Metric):
    """F score of probabilities: a row counts as predicted to the extent of its probability.

    Precision is sum(p over positive rows) / sum(p), recall sum(p over positive rows) / positive rows; 0 if either is 0,
    also if no row is positive. Of two classes the second is positive. Of more, or if a row may have several labels, it
    is the mean over classes, or the score of `positive` alone.

    Source: RSNA breast cancer detection, pfbeta as mle-bench has it; Yacouby and Axman 2020, "Probabilistic Extension
    of Precision, Recall, and F1 Score".
    """

    label_kinds = ("class_index", "multi_hot")
    limits = (0, 1)
    wants = ("classes",)

    beta: float = Field(
        1.0, gt=0, le=100, description="weight of recall; above 1, recall counts more than precision"
    )
    positive: str | None = Field(
        None, description="the positive class; by default the second of two, else each in turn"
    )

    def check_context(self) -> None:
        if self.positive is not None:
            check_names([self.positive], self.context.classes, "positive")
            if self.context.multi_label:
                raise ConfigError(
                    "metric.positive needs one label per row, and rows may have several labels", code="C47"
                )

    def score(self, truth: Targets, probabilities: Probabilities) -> float:
        return self.score_by_weights(truth, probabilities)(np.ones(len(truth)))

    def score_by_weights(self, truth: Targets, probabilities: Probabilities) -> Callable[[np.ndarray], float]:
        hot = one_against_rest(truth, probabilities.shape[1])
        given = np.clip(probabilities.astype(np.float64), 0, 1)
        if self.positive is not None:
            scored = class_numbers([self.positive], self.context.classes)
        else:
            scored = np.arange(1 if truth.ndim == 1 and hot.shape[1] == 2 else 0, hot.shape[1])
        hot, given = hot[:, scored].astype(np.float64), given[:, scored]
        hits = hot * given
        return lambda weights: self._mean(weights @ hits, weights @ given, weights @ hot)

    def _mean(self, hits: np.ndarray, predicted: np.ndarray, true: np.ndarray) -> float:
        weight = self.beta**2
        both = weight * true + predicted
        by_class = np.where(hits > 0, (1 + weight) * hits / np.where(both > 0, both, 1), 0)
        return min(float(by_class.mean()), 1.0)
