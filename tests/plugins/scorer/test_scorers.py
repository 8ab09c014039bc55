"""Scorers, against scikit-learn's nearest neighbours and numbers worked out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from kit.core.nearest import nearest
from kit.errors import ConfigError
from kit.kinds import Metric, RetrievedNeighbours, Scorer
from kit.kinds.classes import Classes

HAND = RetrievedNeighbours(
    np.array([[0.9, 0.8, 0.5], [0.6, 0.5, 0.4]], np.float32),
    np.array([[0, 1, 1], [2, 0, 2]]),
    4,
    np.array([[0.1, 0.6, 0.2, 0.1], [0.3, 0.3, 0.3, 0.1]], np.float32),
)


def opened(name: str, **options: Any) -> Scorer:
    return Scorer.open({"name": name, **options})


@pytest.fixture
def clusters() -> tuple[np.ndarray, np.ndarray, np.ndarray, RetrievedNeighbours]:
    """A gallery (60, 8) of 3 classes, its labels, queries, and their 5 neighbours."""
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    vectors = rng.standard_normal((80, 8)) + np.repeat(2 * np.eye(8)[:1], 80, axis=0)
    vectors += np.eye(8)[np.arange(80) % 3]
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    neighbours = nearest(vectors[60:], vectors[:60], 5)
    return (
        vectors[:60],
        labels,
        vectors[60:],
        RetrievedNeighbours(neighbours.similarities, labels[neighbours.rows], 3),
    )


def test_a_vote_is_scikit_learns(clusters: Any) -> None:
    gallery, labels, queries, near = clusters
    theirs = KNeighborsClassifier(5, metric="cosine").fit(gallery, labels).predict_proba(queries)
    np.testing.assert_allclose(opened("vote", k=5).score(near), theirs, atol=1e-6)


def test_a_power_is_scikit_learns_weighted_vote(clusters: Any) -> None:
    gallery, labels, queries, near = clusters
    model = KNeighborsClassifier(5, metric="cosine", weights=lambda distances: (1 - distances) ** 3)
    theirs = model.fit(gallery, labels).predict_proba(queries)
    np.testing.assert_allclose(opened("power", k=5, power=3).score(near), theirs, atol=1e-5)


def test_the_best_match_is_scikit_learns_single_neighbour(clusters: Any) -> None:
    gallery, labels, queries, near = clusters
    theirs = KNeighborsClassifier(1, metric="cosine").fit(gallery, labels).predict_proba(queries)
    np.testing.assert_array_equal(opened("best_match").score(near), theirs)


def test_max_per_class_is_each_classs_nearest_image() -> None:
    scores = opened("max_per_class", power=2).score(HAND)
    wanted = np.array([[0.81, 0.64, 0, 0], [0.25, 0, 0.36, 0]])
    np.testing.assert_allclose(scores, wanted / wanted.sum(axis=1, keepdims=True), rtol=1e-6)


def test_a_product_is_of_each_classs_nearest_image_and_its_probability() -> None:
    scores = opened("product", k=3, cosine_power=2, probability_power=1).score(HAND)
    wanted = np.array([[0.81 * 0.1, 0.64 * 0.6, 0, 0], [0.25 * 0.3, 0, 0.36 * 0.3, 0]])
    np.testing.assert_allclose(scores, wanted / wanted.sum(axis=1, keepdims=True), rtol=1e-6)


def test_a_row_that_neighbours_and_classifier_disagree_on_entirely_is_the_classifiers() -> None:
    near = RetrievedNeighbours(
        np.array([[0.9]], np.float32), np.array([[0]]), 2, np.array([[0.0, 1.0]], np.float32)
    )
    np.testing.assert_array_equal(opened("product", k=1).score(near), [[0.0, 1.0]])


def test_a_mixture_is_half_of_each() -> None:
    base = {"name": "max_per_class", "power": 1}
    scores = opened("mixture", base=base, neighbour_weight=0.25).score(HAND)
    neighbours = np.array([[0.9, 0.8, 0, 0], [0.5, 0, 0.6, 0]])
    neighbours /= neighbours.sum(axis=1, keepdims=True)
    assert HAND.probabilities is not None
    np.testing.assert_allclose(scores, 0.25 * neighbours + 0.75 * HAND.probabilities, rtol=1e-6)


def test_similarities_below_zero_count_for_nothing() -> None:
    near = RetrievedNeighbours(
        np.array([[0.5, -0.9], [-0.1, -0.2]], np.float32), np.array([[0, 1], [0, 1]]), 2
    )
    np.testing.assert_array_equal(opened("power", power=2).score(near), [[1, 0], [0.5, 0.5]])


def planted(power: float) -> tuple[RetrievedNeighbours, np.ndarray]:
    """Rows whose one near image is right, against so many far ones that only a power above `power` lets it win."""
    rows, far = 30, 9
    truth = np.arange(rows) % 2
    distant = far ** (-1 / power)  # far * distant^power = 1
    similarities = np.concatenate([np.ones((rows, 1)), np.full((rows, far), distant)], axis=1)
    labels = np.concatenate([truth[:, None], np.repeat(1 - truth[:, None], far, axis=1)], axis=1)
    return RetrievedNeighbours(similarities.astype(np.float32), labels, 2), truth


@pytest.mark.parametrize(("least", "chosen"), [(6.0, 9.0), (12.0, 16.0)])
def test_fit_finds_the_power_from_which_the_metric_is_best(least: float, chosen: float) -> None:
    near, truth = planted(least)
    scorer = Scorer.open({"name": "power", "metric": "accuracy"}).fit(near, truth)
    assert scorer.spec()["power"] >= chosen
    assert Metric.open("accuracy").score(truth, scorer.score(near)) == 1
    fixed = opened("power", power=1.0).fit(near, truth)
    assert fixed.spec()["power"] == 1


def test_fit_finds_the_share_of_the_neighbours_and_trusts_the_better_side() -> None:
    truth = np.arange(40) % 2
    right = np.eye(2, dtype=np.float32)[truth] * 0.8 + 0.1
    near = RetrievedNeighbours(np.ones((40, 1), np.float32), 1 - truth[:, None], 2, right)
    assert opened("mixture", neighbour_weight=None).fit(near, truth).spec()["neighbour_weight"] == 0
    near = RetrievedNeighbours(np.ones((40, 1), np.float32), truth[:, None], 2, 1 - right)
    assert opened("mixture", neighbour_weight=None).fit(near, truth).spec()["neighbour_weight"] == 1


def whales(**options: Any) -> tuple[Scorer, RetrievedNeighbours, np.ndarray]:
    """Known rows have a neighbour of .9, new ones (class 2) one of .4 or less."""
    best = np.array([0.9, 0.95, 0.92, 0.4, 0.3, 0.35], np.float32)
    near = RetrievedNeighbours(np.stack([best, best - 0.2], axis=1), np.array([[0, 1]] * 6), 3)
    scorer = opened("unknown", label="new_whale", **options).with_classes(Classes(("a", "b", "new_whale")))
    return scorer, near, np.array([0, 0, 0, 2, 2, 2])


def test_a_row_unlike_all_is_new() -> None:
    scorer, near, truth = whales(threshold=0.6)
    scores = scorer.score(near)
    assert scores.argmax(axis=1).tolist() == truth.tolist()
    assert np.argsort(-scores[0]).tolist() == [0, 1, 2]  # new comes after all that are more similar


def test_the_threshold_is_found_on_rows_whose_answer_is_known() -> None:
    scorer, near, truth = whales(metric={"name": "accuracy"})
    fitted = scorer.fit(near, truth)
    assert 0.4 < fitted.spec()["threshold"] <= 0.9
    assert fitted.score(near).argmax(axis=1).tolist() == truth.tolist()
    assert scorer.classes_to_ignore() == ("new_whale",)


def test_an_expected_share_of_the_rows_is_new() -> None:
    scorer, near, _ = whales(unknown_rate=1 / 3)
    assert scorer.fit(near, np.zeros(6, int)).score(near).argmax(axis=1).tolist() == [0, 0, 0, 0, 2, 2]


def test_without_a_row_of_the_class_there_is_no_threshold_to_find() -> None:
    scorer, near, _ = whales()
    with pytest.raises(ConfigError, match="C29 no training row is of class 'new_whale'"):
        scorer.fit(near, np.zeros(6, int))
    with pytest.raises(ConfigError, match="C29 scorer 'unknown' predicts 'new_whale', which is not a class"):
        scorer.with_classes(Classes(("a", "b", "c"))).score(near)
    with pytest.raises(ConfigError, match="either threshold or unknown_rate"):
        whales(threshold=0.5, unknown_rate=0.5)
