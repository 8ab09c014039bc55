"""Classes: scores as scikit-learn has them, and the pairs that are confused."""

from __future__ import annotations

import numpy as np
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from kit.stages.reporting.classes import of_confusion, of_questions, rank_confusions
from kit.stages.reporting.row_facts import ClassScore, Confused
from tests.approximate import approx

NAMES = ("ant", "bee", "cat", "dog")


def as_sklearn(scores: tuple[ClassScore, ...]) -> list[list[float]]:
    return [[one.precision or 0, one.recall or 0, one.f1 or 0, one.rows] for one in scores]


def test_scores_are_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    truth, predicted = rng.integers(0, 3, 200), rng.integers(0, 4, 200)  # no row is a dog
    scores = of_confusion(confusion_matrix(truth, predicted, labels=range(4)), NAMES)
    wanted = precision_recall_fscore_support(truth, predicted, labels=range(4), zero_division=0)
    np.testing.assert_allclose(as_sklearn(scores), np.transpose(wanted))
    assert scores[3].recall is None


def test_scores_of_several_labels_are_scikit_learns() -> None:
    rng = np.random.default_rng(1)
    truth, predicted = rng.integers(0, 2, (50, 4)), rng.integers(0, 2, (50, 4))
    wanted = precision_recall_fscore_support(truth, predicted, zero_division=0)
    np.testing.assert_allclose(as_sklearn(of_questions(truth, predicted, NAMES)), np.transpose(wanted))


def test_the_class_that_is_predicted_most_often_instead_is_named() -> None:
    ant, bee = of_confusion(np.array([[5, 2], [0, 7]]), NAMES[:2])
    assert (ant.confused_with, ant.confused_rows, bee.confused_with) == ("bee", 2, "")


def test_pairs_come_by_their_rows_and_the_right_ones_are_none() -> None:
    counts = np.array([[9, 1, 0], [3, 5, 2], [0, 0, 4]])
    assert rank_confusions(counts, NAMES[:3], most=2) == (
        Confused("bee", "ant", 3, approx(0.3)),
        Confused("bee", "cat", 2, approx(0.2)),
    )
    assert len(rank_confusions(counts, NAMES[:3])) == 3
