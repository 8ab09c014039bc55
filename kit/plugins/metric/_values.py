"""Errors of numbers: values (N, K) of rows and columns, or class numbers as 0 and 1 of each class."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
from pydantic import Field

from kit.core.arrays import Probabilities, Targets
from kit.errors import ConfigError
from kit.kinds import Metric
from kit.plugins.metric._class_options import check_names, weights_of


def as_values(truth: np.ndarray[Any, Any], predicted: np.ndarray[Any, Any]) -> np.ndarray:
    """Returns true values float64 (N, K): as they are, or 0 and 1 of each class for class numbers (N,)."""
    if truth.ndim == 2:
        return np.asarray(truth, dtype=np.float64)
    return np.asarray(truth[:, None] == np.arange(predicted.shape[1]), dtype=np.float64)


class ColumnError(Metric):
    """A score for each column of values, averaged over columns, or of all values together."""

    label_kinds = ("class_index", "multi_hot", "numbers", "soft")
    wants = ("classes",)

    average: Literal["columns", "pooled"] = Field(
        "columns", description="columns: the mean of each column's score; pooled: one score of all values"
    )
    column_weights: Mapping[str, float] = Field(
        {}, description="weights of columns by name, in the mean or in the pool; by default 1"
    )

    def of_sums(self, sums: Mapping[str, np.ndarray]) -> np.ndarray:
        """Returns the score of columns by their weighted sums, (K,): see `_sums`."""
        raise NotImplementedError

    def check_context(self) -> None:
        check_names(self.column_weights, self.context.classes, "column_weights")
        weights = weights_of(self.column_weights, self.context.classes)
        if (weights < 0).any() or (len(weights) and not weights.any()):
            raise ConfigError("metric.column_weights must be 0 or more, and not all 0", code="C47")

    def score(self, truth: Targets, probabilities: Probabilities) -> float:
        return self.score_by_weights(truth, probabilities)(np.ones(len(truth)))

    def score_by_weights(self, truth: Targets, probabilities: Probabilities) -> Callable[[np.ndarray], float]:
        true, given = as_values(truth, probabilities), probabilities.astype(np.float64)
        columns = true.shape[1]
        known = self.column_weights and len(self.context.classes) == columns
        by_column = weights_of(self.column_weights, self.context.classes) if known else np.ones(columns)

        def score(weights: np.ndarray) -> float:
            if self.average == "pooled":
                cells = (weights[:, None] * by_column).reshape(-1, 1)
                return float(self.of_sums(_sums(true.reshape(-1, 1), given.reshape(-1, 1), cells))[0])
            cells = np.broadcast_to(weights[:, None].astype(np.float64), true.shape)
            return float(np.average(self.of_sums(_sums(true, given, cells)), weights=by_column))

        return score


def _sums(true: np.ndarray, given: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Returns weighted means by column, (K,): of absolute and squared errors, variance and squares of the
    true values.
    """
    total = weights.sum(axis=0)
    mean = (weights * true).sum(axis=0) / total
    return {
        "absolute": (weights * np.abs(true - given)).sum(axis=0) / total,
        "squared": (weights * (true - given) ** 2).sum(axis=0) / total,
        "variance": (weights * (true - mean) ** 2).sum(axis=0) / total,
        "scale": (weights * true**2).sum(axis=0) / total,
    }
