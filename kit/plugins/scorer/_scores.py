"""Functions that scorers share: sums over neighbours by class, rows scaled to sum 1, and the best of a few
candidates.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import TypeVar

import numpy as np

from kit.core.arrays import Targets
from kit.errors import InvalidError
from kit.kinds import Metric, RetrievedNeighbours, Scorer

POWERS = (1.0, 2.0, 4.0, 9.0, 16.0, 32.0, 64.0)  # tried if the option is not set
S = TypeVar("S", bound=Scorer)


def by_class(near: RetrievedNeighbours, values: np.ndarray) -> np.ndarray:
    """Returns sums (N, K) of the neighbours' values (N, k) over those of each class, float64."""
    places = np.arange(len(near))[:, None] * near.classes + near.labels
    sums = np.bincount(places.ravel(), values.ravel(), minlength=len(near) * near.classes)
    return sums.reshape(len(near), near.classes)


def average_values(near: RetrievedNeighbours, weights: np.ndarray) -> np.ndarray:
    """Returns the weighted mean (N, K) of the neighbours' numbers or shares; a row without weights gets their mean."""
    assert near.values is not None
    sums = weights.sum(axis=1, keepdims=True)
    shares = np.where(sums > 0, weights / np.where(sums > 0, sums, 1), 1 / weights.shape[1])
    return np.asarray(np.einsum("nk,nkc->nc", shares, near.values))


def best_by_class(near: RetrievedNeighbours, values: np.ndarray) -> np.ndarray:
    """Returns the largest value (N, K) of the neighbours of each class, 0 for classes without one."""
    best = np.zeros((len(near), near.classes))
    np.maximum.at(best, (np.arange(len(near))[:, None], near.labels), values)
    return best


def raise_to_power(near: RetrievedNeighbours, power: float) -> np.ndarray:
    """Returns similarities (N, k) to a power, float64; those below 0 count as 0."""
    values: np.ndarray = np.maximum(near.similarities.astype(np.float64), 0) ** power
    return values


def normalise_rows(scores: np.ndarray) -> np.ndarray:
    """Scales scores (N, K) of 0 or more to sum 1 per row. A row of zeros gives every class the same share."""
    sums = scores.sum(axis=1, keepdims=True)
    return np.where(sums > 0, scores / np.where(sums > 0, sums, 1), 1 / scores.shape[1])


def best_of(candidates: Iterable[S], near: RetrievedNeighbours, truth: Targets, metric: Metric | None) -> S:
    """Returns the recipe with the best score on rows, by the metric and among equals by log loss; of equals
    the first.
    """
    loss = Metric.open("log_loss" if near.values is None else "rmse")
    costs: list[tuple[float, float, S]] = []
    for recipe in candidates:
        shares = recipe.score(near)
        cost = loss.score(truth, shares)
        costs.append((_cost(metric, truth, shares, cost), cost, recipe))
    return min(costs, key=lambda candidate: candidate[:2])[2]


def _cost(metric: Metric | None, truth: Targets, shares: np.ndarray, otherwise: float) -> float:
    """Returns the cost to minimise: log loss if there is no metric, or if it does not score these rows."""
    if metric is not None:
        with suppress(InvalidError):
            return metric.score(truth, shares) * (-1.0 if metric.higher_is_better else 1.0)
    return otherwise
