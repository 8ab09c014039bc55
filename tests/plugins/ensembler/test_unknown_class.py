"""A class without training rows gets the rows whose highest probability is low: numbers by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import entropy
from sklearn.metrics import accuracy_score

from kit.errors import ConfigError
from kit.evaluation.competition import for_labels
from kit.kinds import Ensembler
from kit.kinds.targets import ONE_CLASS

MEMBERS = np.array([[[0.9, 0.1, 0], [0.6, 0.4, 0], [0.5, 0.5, 0], [0.2, 0.8, 0]]], np.float32)
NAMES = ("a", "b", "new")


def opened(names: tuple[str, ...] = NAMES, **options: object) -> Ensembler:
    recipe = Ensembler.open({"name": "unknown_class", "metric": "accuracy", **options})
    return for_labels(recipe, ONE_CLASS, names=names)


def test_the_expected_fraction_of_rows_has_the_class() -> None:
    probabilities = opened(unknown_rate=0.5).fit(MEMBERS, np.array([0, 0, 1, 1])).blend(MEMBERS)
    assert probabilities.argmax(axis=1).tolist() == [0, 2, 2, 1]  # the median of 0.9, 0.6, 0.5 and 0.8 is 0.7
    np.testing.assert_allclose(probabilities[0], np.array([0.9, 0.1, 0.7]) / 1.7, rtol=1e-6)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)


def test_the_class_may_be_any_column() -> None:
    moved = MEMBERS[:, :, [2, 0, 1]]
    probabilities = opened(("new", "a", "b"), threshold=0.7).blend(moved)
    assert probabilities.argmax(axis=1).tolist() == [1, 0, 0, 2]
    assert np.argsort(-probabilities[1]).tolist() == [0, 1, 2]  # above the classes below the threshold


def test_the_threshold_is_fitted_if_training_rows_have_the_class() -> None:
    truth = np.array([0, 2, 2, 1])
    fitted = opened().fit(MEMBERS, truth)
    assert 0.6 < fitted.spec()["threshold"] <= 0.8
    assert accuracy_score(truth, fitted.blend(MEMBERS).argmax(axis=1)) == 1
    again = for_labels(Ensembler.open(fitted.spec()), ONE_CLASS, names=NAMES)
    np.testing.assert_array_equal(again.blend(MEMBERS), fitted.blend(MEMBERS))


def test_it_is_known_within_another_recipe() -> None:
    inner = {"name": "unknown_class", "label": "a", "threshold": 0.95}
    outer = for_labels(Ensembler.open({"name": "prior_shift", "base": inner}), ONE_CLASS, names=NAMES)
    assert outer.base.blend(MEMBERS).argmax(axis=1).tolist() == [0, 0, 0, 0]  # type: ignore[attr-defined]


def test_a_row_without_probability_for_known_classes_has_the_class() -> None:
    assert opened(threshold=0).blend(np.array([[[0, 0, 1]]], np.float32)).tolist() == [[0, 0, 1]]


def test_rows_of_high_entropy_have_the_class() -> None:
    shares = np.array(
        [[[0.5, 0.5, 0.0, 0], [0.6, 0.2, 0.2, 0], [0.9, 0.05, 0.05, 0], [1.0, 0, 0, 0]]], np.float32
    )
    certainty = 1 - np.array([entropy(row[:3]) for row in shares[0]]) / np.log(3)
    names = ("a", "b", "c", "new")
    probabilities = opened(names, by="entropy", threshold=0.3).blend(shares)
    assert (
        (probabilities.argmax(axis=1) == 3).tolist()
        == (certainty < 0.3).tolist()
        == [False, True, False, False]
    )
    # the highest probability alone would choose the first row
    assert opened(names, threshold=0.55).blend(shares).argmax(axis=1).tolist() == [3, 0, 0, 0]
    scores = np.append(shares[0, 1, :3], 0.6 * 0.3 / certainty[1])
    np.testing.assert_allclose(probabilities[1], scores / scores.sum(), rtol=1e-5)
    by_rate = opened(names, by="entropy", unknown_rate=0.5).blend(shares)
    assert (by_rate.argmax(axis=1) == 3).tolist() == [True, True, False, False]
    fitted = opened(names, by="entropy").fit(shares, np.array([0, 3, 0, 0]))
    assert certainty[1] < fitted.spec()["threshold"] <= certainty[0]
    again = for_labels(Ensembler.open(fitted.spec()), ONE_CLASS, names=names)
    np.testing.assert_array_equal(again.blend(shares), fitted.blend(shares))


def test_what_cannot_be_fitted_is_an_error() -> None:
    with pytest.raises(ConfigError, match="C29 no training row is of class 'new'"):
        opened().fit(MEMBERS, np.array([0, 0, 1, 1]))
    with pytest.raises(ConfigError, match="C29 ensembler 'unknown_class' predicts 'other'"):
        opened(label="other").fit(MEMBERS, np.array([0, 0, 1, 1]))
    with pytest.raises(ConfigError, match="either threshold or unknown_rate"):
        opened(threshold=0.5, unknown_rate=0.5)
