"""Macro F1: the mean over classes of the harmonic mean of precision and recall."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from kit.core.arrays import Probabilities, Targets
from kit.plugins.metric._decisions import DecisionMetric


class MacroF1(DecisionMetric):
    """Mean F1 of the classes in the truth or in the predictions. A class without a hit counts 0.

    The prediction of a row is its most probable class. If a row may have several labels, `decision` in
    config.json assigns them, and all classes count. A class without true and assigned rows counts 0, or is
    left out with `absent=skip`.

    Source: sklearn.metrics.f1_score, average "macro", zero_division 0; `skip` is its zero_division NaN.
    """

    label_kinds = ("class_index", "multi_hot")
    replaced_options: ClassVar[Mapping[str, str]] = {"threshold": "decision.threshold"}
    limits = (0, 1)

    absent: Literal["zero", "skip"] = Field(
        "zero", description="with several labels per row: score of a class without true and predicted rows"
    )

    def of_confusion(self, counts: np.ndarray) -> float:
        return self.of_margins(counts.diagonal(), counts.sum(axis=0), counts.sum(axis=1))

    def of_margins(self, hits: np.ndarray, predicted: np.ndarray, true: np.ndarray) -> float:
        return _mean_of_present(hits, predicted + true)

    def score_by_weights(self, truth: Targets, probabilities: Probabilities) -> Callable[[np.ndarray], float]:
        if truth.ndim == 2:
            true, given = truth.astype(bool), self.decision.assign_labels(probabilities)
        else:
            numbers = np.arange(probabilities.shape[1])
            true, given = truth[:, None] == numbers, probabilities.argmax(axis=1)[:, None] == numbers
        mean = _mean_of_all if truth.ndim == 2 and self.absent == "zero" else _mean_of_present
        hits, both = (true & given).astype(np.float32), true.astype(np.float32) + given
        return lambda weights: mean(weights @ hits, weights @ both)


def _mean_of_all(hits: np.ndarray, both: np.ndarray) -> float:
    """Returns the mean of 2 hits / both over all classes, with both = predicted rows and true rows.

    It is 0 for a class without any.
    """
    return float((2 * hits / np.where(both > 0, both, 1)).mean())


def _mean_of_present(hits: np.ndarray, both: np.ndarray) -> float:
    """Returns the mean over the classes with predicted or true rows; 1 if no class has any."""
    occurs = both > 0
    return float((2 * hits[occurs] / both[occurs]).mean()) if occurs.any() else 1.0
