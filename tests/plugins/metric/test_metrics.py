"""Metrics agree with scikit-learn and with numbers by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn import metrics

from kit.errors import InvalidError
from kit.kinds import Metric

HAND = np.array([[0.8, 0.2], [0.4, 0.6], [0.7, 0.3], [0.1, 0.9]])
TRUTH = np.array([0, 0, 1, 1])


@pytest.fixture
def drawn() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    return rng.integers(0, 5, 200), rng.dirichlet(np.ones(5), 200)


def score(name: str, truth: np.ndarray, probabilities: np.ndarray) -> float:
    return Metric.open(name).score(truth, probabilities)


def test_accuracy_by_hand() -> None:
    assert score("accuracy", TRUTH, HAND) == 0.5


def test_macro_f1_by_hand() -> None:
    # predicted 0 1 0 1: class 0 has 1 hit of 2 said and 2 true, so has class 1: F1 = 0.5 each
    assert score("macro_f1", TRUTH, HAND) == 0.5
    # predicted 0 0 0 0: class 0 has precision 1/2, recall 1, F1 2/3; class 1 has 0
    assert score("macro_f1", TRUTH, np.array([[1, 0]] * 4)) == pytest.approx(1 / 3)


def test_macro_f1_leaves_out_classes_that_occur_nowhere_and_counts_those_predicted() -> None:
    certain = np.eye(4)
    assert score("macro_f1", np.array([0, 1]), certain[[0, 1]]) == 1
    assert score("macro_f1", np.array([0, 1]), certain[[0, 3]]) == pytest.approx(1 / 3)


def test_log_loss_by_hand() -> None:
    expected = -(math.log(0.8) + math.log(0.4) + math.log(0.3) + math.log(0.9)) / 4
    assert score("log_loss", TRUTH, HAND) == pytest.approx(expected, abs=1e-12)


def test_log_loss_of_a_certain_wrong_answer_is_finite() -> None:
    certain = np.array([[1, 0]], dtype=np.float32)
    assert score("log_loss", np.array([1]), certain) == pytest.approx(-math.log(1e-15), abs=1e-6)


def test_log_loss_takes_classes_that_the_truth_lacks() -> None:
    shares = np.array([[0.5, 0.25, 0.25], [0.25, 0.5, 0.25]])
    assert score("log_loss", np.array([0, 1]), shares) == pytest.approx(-math.log(0.5))


def test_binary_auc_ranks_by_the_second_class() -> None:
    # positives score .3 and .9, negatives .2 and .6: 3 of 4 pairs are in order
    assert score("auc", TRUTH, HAND) == 0.75


def test_auc_leaves_out_classes_without_rows() -> None:
    shares = np.array([[0.7, 0.2, 0.1], [0.2, 0.7, 0.1], [0.5, 0.4, 0.1]])
    truth = np.array([0, 1, 1])
    expected = (
        metrics.roc_auc_score(truth == 0, shares[:, 0]) + metrics.roc_auc_score(truth == 1, shares[:, 1])
    ) / 2
    assert score("auc", truth, shares) == pytest.approx(expected)


def test_auc_of_one_class_is_an_error() -> None:
    with pytest.raises(InvalidError, match="all rows are of one"):
        score("auc", np.array([1, 1, 1, 1]), HAND)


def test_all_agree_with_scikit_learn(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    truth, shares = drawn
    said = shares.argmax(axis=1)
    assert score("accuracy", truth, shares) == pytest.approx(metrics.accuracy_score(truth, said))
    assert score("macro_f1", truth, shares) == pytest.approx(metrics.f1_score(truth, said, average="macro"))
    assert score("log_loss", truth, shares) == pytest.approx(metrics.log_loss(truth, shares))
    assert score("auc", truth, shares) == pytest.approx(
        metrics.roc_auc_score(truth, shares, multi_class="ovr", average="macro")
    )


def test_only_log_loss_is_better_when_lower() -> None:
    better = {
        name: Metric.open(name).higher_is_better for name in ("accuracy", "auc", "log_loss", "macro_f1")
    }
    assert better == {"accuracy": True, "auc": True, "log_loss": False, "macro_f1": True}
