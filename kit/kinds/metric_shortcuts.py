"""Shortcuts: optional methods of a metric that make hill climbing and bootstraps fast.

A metric has a shortcut if it has the method, unless its `excluded_shortcuts` name it: a weighted log loss,
for example, is not a plain mean. The contract tests of metrics check that a shortcut agrees with `score`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeGuard, runtime_checkable

import numpy as np

from kit.core.arrays import Probabilities, Targets


@runtime_checkable
class FromConfusionMatrix(Protocol):
    """A metric of the most probable class of each row, such as macro F1."""

    def of_confusion(self, counts: np.ndarray) -> float:
        """Returns the score of a confusion matrix (K, K) with one row per true class; counts or weights."""
        ...


@runtime_checkable
class FromClassCounts(Protocol):
    """A metric of decisions that depends only on each class's counts of hits, predictions and true rows, such
    as macro F1.

    If there are many classes, a confusion matrix is larger than all rows; these counts are not.
    """

    def of_margins(self, hits: np.ndarray, predicted: np.ndarray, true: np.ndarray) -> float:
        """Returns the score of the counts or weights of each class, (K,)."""
        ...


@runtime_checkable
class FromTrueClassProbability(Protocol):
    """A metric that is the mean of a cost of the true class's probability, such as log loss.

    If a row may have several labels, it is also the mean over classes, of the cost of the right answers.
    """

    def of_true(self, shares: np.ndarray) -> np.ndarray:
        """Returns each row's cost or gain, in the shape of `shares`: the true class's probabilities in rows
        that sum to 1.
        """
        ...


@runtime_checkable
class SupportsRowWeights(Protocol):
    """A metric that prepares a set of rows once and then scores any weights of the rows, such as AUC by sorting."""

    def score_by_weights(self, truth: Targets, probabilities: Probabilities) -> Callable[[np.ndarray], float]:
        """Returns a function from weights (N,) to the score of the weighted rows. It raises what `score` raises."""
        ...


@runtime_checkable
class ScoresParts(Protocol):
    """A metric that scores each part of an answer."""

    def score_parts(self, truth: Targets, probabilities: Probabilities) -> dict[str, tuple[str, float]]:
        """By the name of each part, or of a column of yes and no or of numbers: the metric's name, and the score.

        Parts without a score are left out.
        """
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


def confusion(truth: Targets, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Counts how often each class (a row) was predicted as each class (a column), int64 (K, K)."""
    counts = np.bincount(truth * classes + predicted, minlength=classes * classes)
    return counts.reshape(classes, classes)


def score_decisions(
    metric: FromConfusionMatrix,
    truth: Targets,
    predicted: np.ndarray,
    classes: int,
    weights: np.ndarray | None = None,
) -> float:
    """Returns the score of decisions (N,), by the smaller of the confusion matrix and the counts by class."""
    if classes * classes > len(truth) and scores_class_counts(metric):
        right = truth == predicted
        return metric.of_margins(
            np.bincount(truth[right], None if weights is None else weights[right], minlength=classes),
            np.bincount(predicted, weights, minlength=classes),
            np.bincount(truth, weights, minlength=classes),
        )
    counts = np.bincount(truth * classes + predicted, weights, minlength=classes * classes)
    return metric.of_confusion(counts.reshape(classes, classes))


def true_class_probability(truth: Targets, probabilities: Probabilities) -> np.ndarray:
    """Returns the true class's share of each row's sum, float64 (N,).

    For multi-hot truth it is that of the right answers, (N, K).
    """
    if truth.ndim == 2:
        given = probabilities.astype(np.float64)
        return np.where(truth, given, 1 - given)
    shares: np.ndarray = probabilities[np.arange(len(truth)), truth] / probabilities.sum(
        axis=1, dtype=np.float64
    )
    return shares
