"""Boosting: scikit-learn's answers without scikit-learn, and what trees can see that sums cannot."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

from kit.errors import ConfigError
from kit.kinds import Ensembler, Metric
from kit.plugins.ensembler._stacked import log_probability_features


def drawn(rows: int, classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, rows)
    logits = rng.normal(size=(2, rows, classes)) + 1.5 * np.eye(classes)[truth]
    shares = np.exp(logits)
    return (shares / shares.sum(axis=2, keepdims=True)).astype(np.float32), truth


@pytest.mark.parametrize("classes", [2, 4])
def test_it_is_scikit_learns_boosting_without_scikit_learn(classes: int) -> None:
    members, truth = drawn(300, classes)
    boosting = Ensembler.open({"name": "boosting", "rounds": 8, "learning_rate": 0.3}).fit(members, truth)
    reopened = Ensembler.open(json.loads(json.dumps(boosting.spec())))
    theirs = HistGradientBoostingClassifier(
        learning_rate=0.3,
        max_iter=8,
        max_leaf_nodes=7,
        min_samples_leaf=20,
        l2_regularization=1.0,
        early_stopping=False,
        random_state=0,
    ).fit(log_probability_features(members), truth)
    fresh, _ = drawn(200, classes, seed=1)
    np.testing.assert_allclose(
        reopened.blend(fresh), theirs.predict_proba(log_probability_features(fresh)), atol=1e-6
    )


def test_trees_see_that_one_member_is_to_be_trusted_where_the_other_is_unsure() -> None:
    rng = np.random.default_rng(3)
    truth = rng.integers(0, 2, 2000)
    sure = rng.random(2000) < 0.5  # where the first is sure it is right, where it is not the second is
    first = np.where(sure, np.where(truth == 1, 0.8, 0.2), np.where(truth == 1, 0.4, 0.6))
    second = np.where(sure, np.where(truth == 1, 0.05, 0.95), np.where(truth == 1, 0.9, 0.1))
    members = np.stack([np.stack([1 - one, one], axis=1) for one in (first, second)])
    half = np.arange(2000) < 1000
    accuracy = Metric.open("accuracy")
    scores = {
        name: accuracy.score(
            truth[~half], Ensembler.open(name).fit(members[:, half], truth[half]).blend(members[:, ~half])
        )
        for name in ("boosting", "mean")
    }
    assert scores["boosting"] == 1
    assert scores["mean"] < 0.9


def test_a_class_that_was_not_fitted_keeps_its_mean_probability() -> None:
    members, truth = drawn(300, 4)
    seen = truth != 2
    blended = Ensembler.open("boosting").fit(members[:, seen], truth[seen]).blend(members)
    np.testing.assert_allclose(blended[:, 2], members.mean(axis=0)[:, 2], atol=1e-6)
    np.testing.assert_allclose(blended.sum(axis=1), 1)
    one = Ensembler.open("boosting").fit(members, np.ones(300, dtype=int))
    np.testing.assert_allclose(one.blend(members), members.mean(axis=0), atol=1e-6)


def test_trees_of_more_members_are_refused() -> None:
    members, truth = drawn(300, 3)
    boosting = Ensembler.open("boosting").fit(members, truth)
    with pytest.raises(ConfigError, match="C21 trees that look at input"):
        boosting.blend(members[:1])
