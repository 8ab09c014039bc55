"""Recall at k: the share of a row's labels among its k most probable classes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from pydantic import Field

from kit.core.arrays import Probabilities, Targets
from kit.errors import InvalidError
from kit.kinds import Metric
from kit.plugins.metric._multi_label import one_against_rest
from kit.plugins.metric._top_k import true_ranks


class RecallAtK(Metric):
    """Share of labels among the k most probable classes of their row, as a mean over rows or over classes.

    `average=rows`: the mean over rows with a label of the share of their labels that is found. `average=classes`: the
    mean over classes with rows of the share of their rows that is found. Of equal probabilities the class that comes
    first ranks first. Raises InvalidError if no row has a label.

    Source: FungiCLEF 2025 (Recall@5); with one label per row and `average=rows` it is top-k accuracy.
    """

    label_kinds = ("class_index", "multi_hot")
    limits = (0, 1)

    k: int = Field(5, ge=1, description="number of ranked classes")
    average: Literal["rows", "classes"] = Field("rows", description="unit of the mean: rows or classes")

    def score(self, truth: Targets, probabilities: Probabilities) -> float:
        return self.score_by_weights(truth, probabilities)(np.ones(len(truth)))

    def score_by_weights(self, truth: Targets, probabilities: Probabilities) -> Callable[[np.ndarray], float]:
        if self.average == "classes":
            hot = one_against_rest(truth, probabilities.shape[1]).astype(np.float64)
            hits = hot * self._in_top(probabilities)
            return lambda weights: _mean_ratio(weights @ hits, weights @ hot)
        if truth.ndim == 1:
            right = true_ranks(truth, probabilities) <= self.k
            return lambda weights: float(np.average(right, weights=weights))
        count = truth.sum(axis=1)
        recalls = (truth * self._in_top(probabilities)).sum(axis=1) / np.where(count > 0, count, 1)
        some = count > 0

        def score(weights: np.ndarray) -> float:
            if not (weights[some] > 0).any():
                raise InvalidError("recall at k needs rows with a label", code="D45")
            return float(np.average(recalls[some], weights=weights[some]))

        return score

    def _in_top(self, probabilities: Probabilities) -> np.ndarray:
        """Returns whether each class is among the k most probable ones of its row, bool (N, K)."""
        best = np.argsort(-probabilities, axis=1, kind="stable")[:, : self.k]
        in_top = np.zeros(probabilities.shape, dtype=bool)
        np.put_along_axis(in_top, best, True, axis=1)
        return in_top


def _mean_ratio(hits: np.ndarray, true: np.ndarray) -> float:
    some = true > 0
    if not some.any():
        raise InvalidError("recall at k needs rows with a label", code="D45")
    return min(float((hits[some] / true[some]).mean()), 1.0)
