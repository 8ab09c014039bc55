"""Metrics agree with scikit-learn and with numbers by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn import metrics

from kit.errors import ConfigError, InvalidError
from kit.kinds import Metric
from kit.kinds.decision import Decision

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


# ------------------------------------------------------------------------------ several labels a row

HOT = np.array([[1, 1, 0], [0, 1, 0], [0, 0, 0], [1, 0, 0]], dtype=np.int8)
SURE = np.array([[0.9, 0.5, 0.1], [0.6, 0.7, 0.2], [0.1, 0.2, 0.4], [0.8, 0.3, 0.3]])


def test_several_labels_by_hand() -> None:
    # at 0.5 the rows are given 11., 11., ..., 1..: the second has one too many
    assert score("accuracy", HOT, SURE) == 0.75
    # class 0: 2 hits of 3 given and 2 true, F1 0.8; class 1: all right; class 2 occurs nowhere and counts 0
    assert score("macro_f1", HOT, SURE) == pytest.approx(1.8 / 3)
    assert Metric.open({"name": "macro_f1", "absent": "skip"}).score(HOT, SURE) == pytest.approx(0.9)
    right = [0.9, 0.5, 0.9, 0.4, 0.7, 0.8, 0.9, 0.8, 0.6, 0.8, 0.7, 0.7]
    assert score("log_loss", HOT, SURE) == pytest.approx(-np.log(right).mean())
    # class 0: both of its rows before the others; class 1 too: 0.7, 0.5 before 0.3, 0.2
    assert score("average_precision", HOT, SURE) == 1
    assert score("auc", HOT, SURE) == 1


def test_the_threshold_counts_what_reaches_it() -> None:
    rule = Decision(threshold=0.7)
    macro, accuracy, samples = (
        Metric.open(name).with_known(decision=rule) for name in ("macro_f1", "accuracy", "samples_f1")
    )
    # at 0.7 the rows are given 1.., .1., ..., 1..: class 0 is right, class 1 has 1 hit of 1 given and 2 true
    assert macro.score(HOT, SURE) == pytest.approx((1 + 2 / 3 + 0) / 3)
    assert accuracy.score(HOT, SURE) == 0.75
    assert samples.score(HOT, SURE) == pytest.approx((2 / 3 + 1 + 1 + 1) / 4)


@pytest.mark.parametrize("name", ["accuracy", "macro_f1", "samples_f1"])
def test_the_rule_gives_each_row_as_many_labels_as_it_needs(name: str) -> None:
    rng = np.random.default_rng(11)
    truth, shares = (rng.random((150, 5)) < 0.3).astype(np.int8), rng.random((150, 5)) * 0.7
    given = shares >= 0.6
    for row in np.flatnonzero(given.sum(axis=1) < 2):
        given[row, np.argsort(-shares[row], kind="stable")[:2]] = True
    expected = {
        "accuracy": metrics.accuracy_score(truth, given),
        "macro_f1": metrics.f1_score(truth, given, average="macro", zero_division=0),
        "samples_f1": metrics.f1_score(truth, given, average="samples", zero_division=1),
    }
    metric = Metric.open(name).with_known(decision=Decision(0.6, 2))
    assert metric.score(truth, shares) == pytest.approx(expected[name])


def test_macro_f1_counts_a_class_that_is_nowhere_as_scikit_learn_does() -> None:
    rng = np.random.default_rng(12)
    truth, shares = (rng.random((80, 6)) < 0.3).astype(np.int8), rng.random((80, 6))
    truth[:, [2, 4]], shares[:, [2, 4]] = 0, 0.1
    said = shares >= 0.5
    theirs = metrics.f1_score(truth, said, average="macro", zero_division=0)
    assert score("macro_f1", truth, shares) == pytest.approx(theirs)
    theirs = metrics.f1_score(truth, said, average="macro", zero_division=np.nan)
    skipping = Metric.open({"name": "macro_f1", "absent": "skip"})
    assert skipping.score(truth, shares) == pytest.approx(theirs)


@pytest.mark.parametrize("name", ["accuracy", "macro_f1", "samples_f1"])
def test_a_threshold_of_the_metrics_own_is_refused_with_the_key_that_replaces_it(name: str) -> None:
    with pytest.raises(ConfigError, match="C02") as caught:
        Metric.open({"name": name, "threshold": 0.4})
    assert caught.value.hint == "remove threshold from metric, and set decision.threshold=0.4"


def test_several_labels_agree_with_scikit_learn() -> None:
    rng = np.random.default_rng(4)
    truth, shares = (rng.random((200, 6)) < 0.3).astype(np.int8), rng.random((200, 6))
    said = shares >= 0.5
    assert score("accuracy", truth, shares) == pytest.approx(metrics.accuracy_score(truth, said))
    assert score("macro_f1", truth, shares) == pytest.approx(metrics.f1_score(truth, said, average="macro"))
    assert score("auc", truth, shares) == pytest.approx(metrics.roc_auc_score(truth, shares, average="macro"))
    assert score("average_precision", truth, shares) == pytest.approx(
        metrics.average_precision_score(truth, shares, average="macro")
    )
    by_class = [metrics.log_loss(truth[:, k], shares[:, k]) for k in range(6)]
    assert score("log_loss", truth, shares) == pytest.approx(np.mean(by_class))


def test_classes_without_rows_are_left_out_of_curves_and_no_rows_at_all_are_an_error() -> None:
    some = np.array([[1, 0], [0, 0], [1, 0]], dtype=np.int8)
    shares = np.array([[0.9, 0.5], [0.95, 0.5], [0.1, 0.5]])
    assert score("auc", some, shares) == 0
    assert score("average_precision", some, shares) == pytest.approx((1 / 2 + 2 / 3) / 2)
    for name in ("auc", "average_precision"):
        with pytest.raises(InvalidError, match="D45"):
            score(name, np.zeros((3, 2), np.int8), shares)
    nowhere = np.zeros((3, 2), np.int8)
    assert score("macro_f1", nowhere, 0.1 * shares) == 0  # as scikit-learn's zero_division says
    assert Metric.open({"name": "macro_f1", "absent": "skip"}).score(nowhere, 0.1 * shares) == 1


def test_average_precision_of_one_label_a_row_is_the_mean_against_the_rest(
    drawn: tuple[np.ndarray, np.ndarray],
) -> None:
    truth, shares = drawn
    expected = metrics.average_precision_score(np.eye(5)[truth], shares, average="macro")
    assert score("average_precision", truth, shares) == pytest.approx(expected)
    # positives score .3 and .9: the first in the order is one, the third is the other
    assert score("average_precision", TRUTH, HAND) == pytest.approx((1 + 2 / 3) / 2)


@pytest.mark.parametrize("beta", [0.5, 1, 2])
def test_samples_f1_is_scikit_learns_over_rows(beta: float) -> None:
    rng = np.random.default_rng(5)
    truth, shares = (rng.random((300, 4)) < 0.2).astype(np.int8), rng.random((300, 4)) ** 2
    expected = metrics.fbeta_score(truth, shares >= 0.5, beta=beta, average="samples", zero_division=1)
    assert Metric.open({"name": "samples_f1", "beta": beta}).score(truth, shares) == pytest.approx(expected)


def test_samples_f1_by_hand() -> None:
    # 11. for 11.: 1; 11. for .1.: 2/3; none for none: 1; 1.. for 1..: 1
    assert score("samples_f1", HOT, SURE) == pytest.approx((3 + 2 / 3) / 4)
    # one hit, one true, two given: 5 / (4 + 2)
    twice = Metric.open({"name": "samples_f1", "beta": 2})
    assert twice.score(HOT, SURE) == pytest.approx((3 + 5 / 6) / 4)


def test_map_at_k_is_scikit_learns_ranking_precision_where_k_is_all(
    drawn: tuple[np.ndarray, np.ndarray],
) -> None:
    truth, shares = drawn
    theirs = metrics.label_ranking_average_precision_score(np.eye(5)[truth], shares)
    assert Metric.open({"name": "map_at_k", "k": 5}).score(truth, shares) == pytest.approx(theirs)


def test_map_at_k_by_hand() -> None:
    shares = np.array([[0.5, 0.3, 0.2], [0.2, 0.5, 0.3], [0.4, 0.4, 0.2], [0.4, 0.4, 0.2]])
    # ranks 1, 3 (beyond 2), 2 (of equals the first class is first), 1
    assert (
        Metric.open({"name": "map_at_k", "k": 2}).score(np.array([0, 0, 1, 0]), shares)
        == (1 + 0 + 0.5 + 1) / 4
    )
