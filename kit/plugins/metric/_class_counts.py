"""Scores of decisions by counts of hits, predicted rows and true rows per class: F score, precision, recall."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from kit.errors import ConfigError
from kit.plugins.metric._class_options import check_names, class_numbers
from kit.plugins.metric._decisions import DecisionMetric, Weighted

Average = Literal["macro", "micro", "weighted", "samples", "binary"]
Ratio = tuple[np.ndarray, np.ndarray]  # numerators and denominators


class ClassCountMetric(DecisionMetric):
    """A ratio of counts, averaged over classes, rows or all decisions."""

    label_kinds = ("class_index", "multi_hot")
    limits = (0, 1)
    wants = ("classes",)

    average: Average = Field(
        "macro",
        description="macro: mean over classes; weighted: by their true rows; micro: of all counts together; "
        "samples: mean over rows; binary: of the class `positive` alone",
    )
    positive: str | None = Field(
        None, description="the class that the average binary scores; by default the second of two"
    )
    absent: Literal["zero", "skip"] = Field(
        "zero", description="score of a class without a defined score, in a mean over classes"
    )

    def ratio(self, hits: np.ndarray, predicted: np.ndarray, true: np.ndarray) -> Ratio:
        """Returns numerators and denominators from counts: hits, predicted rows and true rows, per class or per row."""
        raise NotImplementedError

    def check_context(self) -> None:
        classes = self.context.classes
        if self.positive is not None:
            check_names([self.positive], classes, "positive")
        if self.average == "binary" and self.positive is None and len(classes) != 2:
            raise ConfigError(
                f"metric.average binary needs two classes or metric.positive; the table has {len(classes)} classes",
                code="C47",
                hint="set metric.positive to a class, or metric.average to macro",
            )

    def of_confusion(self, counts: np.ndarray) -> float:
        return self.of_margins(counts.diagonal(), counts.sum(axis=0), counts.sum(axis=1))

    def of_margins(self, hits: np.ndarray, predicted: np.ndarray, true: np.ndarray) -> float:
        if self.average == "samples":  # of one label per row
            return float(hits.sum() / true.sum())
        occurs = predicted + true > 0
        if self.average == "binary" or not occurs.any():
            return self._mean(hits, predicted, true)
        return self._mean(hits[occurs], predicted[occurs], true[occurs])

    def weigh_labels(self, true: np.ndarray, predicted: np.ndarray) -> Weighted:
        if self.average == "samples":
            by_row = self._by_row(true, predicted)
            return lambda weights: float(np.average(by_row, weights=weights))
        hits, given, own = (values.astype(np.float32) for values in (true & predicted, predicted, true))
        return lambda weights: self._mean(weights @ hits, weights @ given, weights @ own)

    def _by_row(self, true: np.ndarray, predicted: np.ndarray) -> np.ndarray:
        """Returns the score of each row, (N,): 1 without true and predicted labels, 0 if it is undefined otherwise."""
        top, bottom = self.ratio((true & predicted).sum(axis=1), predicted.sum(axis=1), true.sum(axis=1))
        empty = ~true.any(axis=1) & ~predicted.any(axis=1)
        return np.where(empty, 1.0, _divide(top, bottom, 0.0))

    def _mean(self, hits: np.ndarray, predicted: np.ndarray, true: np.ndarray) -> float:
        if self.average == "binary":
            number = (
                1 if self.positive is None else int(class_numbers([self.positive], self.context.classes)[0])
            )
            hits, predicted, true = (values[number : number + 1] for values in (hits, predicted, true))
        elif self.average == "micro":
            hits, predicted, true = (np.array([values.sum()]) for values in (hits, predicted, true))
        by_class = _divide(*self.ratio(hits, predicted, true), np.nan)
        weights = true if self.average == "weighted" and true.sum() else np.ones(len(by_class))
        if self.absent == "skip":
            weights = np.where(np.isnan(by_class), 0, weights)
        if not weights.sum():
            return 0.0
        return min(float(np.average(np.nan_to_num(by_class), weights=weights)), 1.0)


def _divide(top: np.ndarray, bottom: np.ndarray, undefined: float) -> np.ndarray:
    values: np.ndarray = np.where(bottom > 0, top / np.where(bottom > 0, bottom, 1), undefined)
    return values
