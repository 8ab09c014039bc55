"""Shortcuts: what a metric may offer beside `score`, so that a climb or a bootstrap is quick; any metric does without.

A metric has a shortcut by having its method, unless its `excluded_shortcuts` name it: a weighted log loss, for one, is
no longer a plain mean. The laws of metrics say that a shortcut must agree with `score`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeGuard, runtime_checkable

import numpy as np

from kit.core.arrays import Probabilities, Targets


@runtime_checkable
class FromConfusionMatrix(Protocol):
    """A metric that asks for the most probable class of each row alone, such as macro F1."""

    def of_confusion(self, counts: np.ndarray) -> float:
        """The score of a confusion matrix (K, K), a true class a row; counts or weights."""
        ...


@runtime_checkable
class FromClassCounts(Protocol):
    """A metric of decisions that asks of each class alone how often it was hit, told and true, such as macro F1.

    Where there are many classes a confusion matrix of them is larger than all rows; this is not.
    """

    def of_margins(self, hits: np.ndarray, told: np.ndarray, true: np.ndarray) -> float:
        """The score of the counts or weights of each class, (K,)."""
        ...


@runtime_checkable
class FromTrueClassProbability(Protocol):
    """A metric that is a mean of what the true class's probability costs or earns, such as log loss.

    Where a row may have several labels, it is the mean over classes too, of what the right answers' cost or earn.
    """

    def of_true(self, shares: np.ndarray) -> np.ndarray:
        """What each row costs or earns, in the shape of `shares`: the true class's parts of rows that sum to 1."""
        ...


@runtime_checkable
class SupportsRowWeights(Protocol):
    """A metric whose work on a set of rows can be done once, for any weights of the rows, such as AUC's sorting."""

    def score_by_weights(self, truth: Targets, probabilities: Probabilities) -> Callable[[np.ndarray], float]:
        """A function from weights (N,) to the score of the rows so weighted; it raises what `score` raises."""
        ...


def scores_confusion(metric: object) -> TypeGuard[FromConfusionMatrix]:
    """Whether `of_confusion` gives the metric's score with its present options."""
    return _offers(metric, FromConfusionMatrix)


def scores_class_counts(metric: object) -> TypeGuard[FromClassCounts]:
    """Whether `of_margins` gives the metric's score with its present options."""
    return _offers(metric, FromClassCounts)


def scores_true_class(metric: object) -> TypeGuard[FromTrueClassProbability]:
    """Whether `of_true` gives the metric's score with its present options."""
    return _offers(metric, FromTrueClassProbability)


def scores_by_weights(metric: object) -> TypeGuard[SupportsRowWeights]:
    """Whether `score_by_weights` gives the metric's score with its present options."""
    return _offers(metric, SupportsRowWeights)


def _offers(metric: object, protocol: type) -> bool:
    excluded: tuple[type, ...] = getattr(metric, "excluded_shortcuts", tuple)()
    return isinstance(metric, protocol) and protocol not in excluded


def confusion(truth: Targets, said: np.ndarray, classes: int) -> np.ndarray:
    """Counts how often each class (a row) was predicted as each class (a column), int64 (K, K)."""
    counts = np.bincount(truth * classes + said, minlength=classes * classes)
    return counts.reshape(classes, classes)


def score_decisions(
    metric: FromConfusionMatrix,
    truth: Targets,
    said: np.ndarray,
    classes: int,
    weights: np.ndarray | None = None,
) -> float:
    """The score of decisions (N,) by the smaller of the confusion matrix and the counts by class."""
    if classes * classes > len(truth) and scores_class_counts(metric):
        right = truth == said
        return metric.of_margins(
            np.bincount(truth[right], None if weights is None else weights[right], minlength=classes),
            np.bincount(said, weights, minlength=classes),
            np.bincount(truth, weights, minlength=classes),
        )
    counts = np.bincount(truth * classes + said, weights, minlength=classes * classes)
    return metric.of_confusion(counts.reshape(classes, classes))


def true_class_probability(truth: Targets, probabilities: Probabilities) -> np.ndarray:
    """The true class's part of each row's sum, float64 (N,); of multi-hot truth the right answers', (N, K)."""
    if truth.ndim == 2:
        given = probabilities.astype(np.float64)
        return np.where(truth, given, 1 - given)
    shares: np.ndarray = probabilities[np.arange(len(truth)), truth] / probabilities.sum(
        axis=1, dtype=np.float64
    )
    return shares
