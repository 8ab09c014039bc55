"""The classifier of pairs, against scikit-learn and numbers by hand; which pairs are drawn."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import precision_recall_curve
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from kit.evaluation.pair_classifier import (
    PairClassifier,
    adjust_for_prior,
    best_threshold,
    curve,
    pair_features,
    read_pair_classifiers,
)
from kit.stages.retrieval.pair_sampling import sample_pairs


@pytest.fixture
def pair_data() -> tuple[np.ndarray, np.ndarray]:
    """Features of 200 pairs and whether each is of one class."""
    rng = np.random.default_rng(0)
    same = np.arange(200) % 2 == 0
    return rng.standard_normal((200, 4)) * [1, 5, 0.1, 1] + same[:, None] * [1, 2, 0, 0.5], same


def test_features_by_hand_whichever_comes_first() -> None:
    one, other = np.array([[1.0, 0, 0, 0]]), np.array([[0.6, 0.8, 0, 0]])
    # differences .4 .8 0 0, times the root of 4
    wanted = [[0.6, 0.6, 1.6, float(np.std([0.8, 1.6, 0, 0]))]]
    np.testing.assert_allclose(pair_features(one, other), wanted, atol=1e-6)
    np.testing.assert_array_equal(pair_features(one, other), pair_features(other, one))


def test_a_classifier_is_scikit_learns_standardised_logistic_regression(
    pair_data: tuple[np.ndarray, np.ndarray],
) -> None:
    given, same = pair_data
    classifier = PairClassifier().fit(given[None], same)
    theirs = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(given, same)
    np.testing.assert_allclose(classifier.blend(given[None]), theirs.predict_proba(given), atol=1e-6)
    text = json.dumps({"judges": {"test": classifier.spec()}})
    np.testing.assert_array_equal(
        read_pair_classifiers(text)["test"].blend(given[None]), classifier.blend(given[None])
    )


@pytest.mark.parametrize("spoiled", [{"weights": [1.0]}, {"intercept": "x"}, {"centre": None}])
def test_a_spoiled_file_is_no_classifier(
    pair_data: tuple[np.ndarray, np.ndarray], spoiled: dict[str, object]
) -> None:
    spec = {**PairClassifier().fit(pair_data[0][None], pair_data[1]).spec(), **spoiled}
    with pytest.raises((ValueError, TypeError)):
        read_pair_classifiers(json.dumps({"judges": {"test": spec}}))


def test_the_threshold_is_the_one_of_best_f1() -> None:
    rng = np.random.default_rng(1)
    same = rng.random(300) < 0.4
    probabilities = np.round(np.clip(0.5 * same + 0.7 * rng.random(300), 0, 1), 2)  # many are equal
    precision, recall, thresholds = precision_recall_curve(same, probabilities)
    scores = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    threshold, f1 = best_threshold(probabilities, same)
    assert f1 == pytest.approx(scores.max())
    assert threshold == thresholds[np.flatnonzero(np.isclose(scores, scores.max()))[-1]]
    drawn = curve(probabilities, same)
    assert drawn[-1]["recall"] == 1
    assert drawn[-1]["precision"] == pytest.approx(same.mean())


def test_equal_probabilities_are_decided_alike_and_all_may_be_the_same() -> None:
    threshold, f1 = best_threshold(np.array([0.5, 0.5]), np.array([1, 0]))
    assert threshold == 0.5
    assert f1 == pytest.approx(2 / 3)  # both are "same": precision 1/2, recall 1
    assert best_threshold(np.array([0.9, 0.4]), np.array([1, 1])) == (0.4, 1.0)


def test_a_feature_that_never_varies_is_left_as_scikit_learn_leaves_it(
    pair_data: tuple[np.ndarray, np.ndarray],
) -> None:
    given, same = pair_data
    given = np.concatenate([given, np.full((200, 1), 3.0)], axis=1)
    fitted = PairClassifier().fit(given[None], same)
    theirs = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(given, same)
    np.testing.assert_allclose(fitted.blend(given[None]), theirs.predict_proba(given), atol=1e-6)


def test_a_curve_has_each_threshold_once_from_the_highest_on() -> None:
    points = curve(np.array([0.1, 0.9, 0.9, 0.5]), np.array([0, 1, 0, 0]))
    thresholds = [point["threshold"] for point in points]
    assert thresholds == sorted(set(thresholds), reverse=True)
    assert (thresholds[0], thresholds[-1]) == (0.9, 0.1)
    assert points[0] == {"threshold": 0.9, "precision": 0.5, "recall": 1.0}
    assert {0.9, 0.5, 0.1} <= {point["threshold"] for point in curve(np.array([0.1, 0.9, 0.5]), np.ones(3))}


def test_another_share_moves_the_odds() -> None:
    # odds 3 of pairs half and half: among pairs of which a tenth is the same, 3 * (1/9) = 1/3
    assert adjust_for_prior(np.array([0.75]), 0.5, 0.1).tolist() == pytest.approx([0.25])
    assert adjust_for_prior(np.array([0.3]), 0.2, 0.2).tolist() == pytest.approx([0.3])


def drawn(shapes: tuple[str, ...], most: int = 1000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    labels = np.arange(40) % 4
    near = (np.arange(40)[:, None] + np.arange(4)) % 40  # itself, then one of each other class
    pairs, same = sample_pairs(labels, shapes, near, np.random.default_rng(0), most)
    return pairs, same, labels


@pytest.mark.parametrize("most", [1000, 50])
def test_half_of_the_pairs_are_of_one_class_and_none_is_there_twice(most: int) -> None:
    pairs, same, labels = drawn(("a", "b", "c", "d"), most)
    assert ((labels[pairs[:, 0]] == labels[pairs[:, 1]]) == same).all()
    assert same.sum() == min(most, 4 * 45)
    assert abs(same.mean() - 0.5) < 0.05
    assert (pairs[:, 0] != pairs[:, 1]).all()
    keys = [tuple(sorted(pair)) for pair in pairs[same].tolist()]
    assert len(set(keys)) == len(keys)


def test_hard_pairs_are_of_one_shape_or_else_the_most_similar_of_another_class() -> None:
    pairs, same, labels = drawn(("x", "x", "y", "y"), 50)
    one, other = (labels[pairs[~same][:25, side]] for side in (0, 1))
    assert (one // 2 == other // 2).all()
    pairs, same, _ = drawn(("a", "b", "c", "d"), 50)
    hard = pairs[~same][:25]
    assert set((hard[:, 1] - hard[:, 0]).tolist()) <= {1, 39}
