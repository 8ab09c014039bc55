"""Aggregators against pandas' groupby, and against numbers by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import pandas as pd
import pytest

from kit.kinds import Aggregator, AnswerImages, Metric
from kit.kinds.decision import Decision
from kit.kinds.targets import MULTI_HOT
from kit.plugins.aggregator.confidence_weighted import ConfidenceWeighted
from kit.plugins.aggregator.top_k_mean import TopKMean

How: TypeAlias = str | Callable[[pd.Series], float]  # what pandas does with a column

ANSWERS = np.array([3, 0, 1, 0, 3, 2, 3, 3, 1, 3])  # numbers of the answers of ten images


def drawn(rows: int = len(ANSWERS), classes: int = 4) -> np.ndarray:
    return np.random.default_rng(0).dirichlet(np.ones(classes), rows)


def joined(
    spec: object, predictions: np.ndarray, answers: np.ndarray = ANSWERS, **known: object
) -> np.ndarray:
    recipe = Aggregator.open(spec).with_known(**known)
    return AnswerImages.of(predictions, answers).join(recipe.combine)


def grouped(predictions: np.ndarray, how: How) -> np.ndarray:
    scores_of_groups: np.ndarray = pd.DataFrame(predictions).groupby(ANSWERS).agg(how).to_numpy()
    return scores_of_groups


def to_sum_one(rows: np.ndarray) -> np.ndarray:
    shares: np.ndarray = rows / rows.sum(axis=1, keepdims=True)
    return shares


def not_all_others(column: pd.Series) -> float:
    """The probability that not all images are of other classes."""
    return float(1 - np.prod(1 - column.to_numpy()))


REFERENCES: dict[str, How] = {
    "mean": "mean",
    "median": "median",
    "max": "max",
    "noisy_or": not_all_others,
}


@pytest.mark.parametrize("name", REFERENCES)
def test_an_aggregator_is_that_of_pandas_column_by_column(name: str) -> None:
    wanted = grouped(drawn(), REFERENCES[name])
    assert np.allclose(joined(name, drawn(), target=MULTI_HOT), wanted, rtol=1e-12)
    assert np.allclose(joined(name, drawn()), to_sum_one(wanted), rtol=1e-12)


@pytest.mark.parametrize("k", [1, 2, 5])
def test_the_top_k_mean_is_that_of_nlargest(k: int) -> None:
    wanted = grouped(drawn(), lambda column: column.nlargest(k).mean())
    assert np.allclose(joined({"name": "top_k_mean", "k": k}, drawn(), target=MULTI_HOT), wanted)


def test_the_geometric_mean_is_that_of_scipy_and_of_the_odds_if_labels_are_several() -> None:
    from scipy.special import expit, logit
    from scipy.stats import gmean

    assert np.allclose(joined("geometric_mean", drawn()), to_sum_one(grouped(drawn(), gmean)))
    odds = expit(pd.DataFrame(logit(drawn())).groupby(ANSWERS).mean().to_numpy())
    assert np.allclose(joined("geometric_mean", drawn(), target=MULTI_HOT), odds, rtol=1e-6)


def test_each_image_has_a_vote_and_the_mean_breaks_ties() -> None:
    images = np.array([[0.9, 0.1], [0.4, 0.6], [0.45, 0.55], [0.2, 0.8], [0.7, 0.3]])
    answers = np.array([0, 0, 0, 1, 1])
    votes = joined("vote", images, answers)
    assert votes[0].argmax() == 1, "two of three images, although the mean is for the other class"
    assert votes[0] == pytest.approx([1 / 3, 2 / 3], abs=1e-3)
    assert votes[1].argmax() == 1, "one vote each, and a mean of 0.55"


def test_votes_of_several_labels_follow_the_decision_rule() -> None:
    images = np.array([[0.4, 0.9], [0.2, 0.9], [0.4, 0.1]])
    votes = joined("vote", images, np.zeros(3, int), target=MULTI_HOT, decision=Decision(threshold=0.3))
    assert votes[0] == pytest.approx([2 / 3, 2 / 3], abs=1e-3)


def test_a_confident_image_weighs_more() -> None:
    images = np.array([[0.9, 0.1], [0.4, 0.6]])
    one = {"name": "confidence_weighted", "power": 1}
    weights = np.array([0.9, 0.6]) / 1.5
    assert joined(one, images, np.zeros(2, int))[0] == pytest.approx(weights @ images)
    assert joined({**one, "power": 0}, images, np.zeros(2, int))[0] == pytest.approx(images.mean(axis=0))
    several = joined(one, images, np.zeros(2, int), target=MULTI_HOT)[0]
    weights = np.array([[0.9, 0.9], [0.6, 0.6]])
    assert several == pytest.approx((weights * images).sum(axis=0) / weights.sum(axis=0))


@pytest.mark.parametrize("name", ["mean", "median", "max"])
def test_real_numbers_are_joined_as_they_are(name: str) -> None:
    numbers = np.array([[-3.0], [250.5], [1.0]])
    answers = np.array([0, 0, 0])
    wanted = {"mean": 248.5 / 3, "median": 1.0, "max": 250.5}[name]
    assert joined(name, numbers, answers, target=MULTI_HOT) == pytest.approx(np.array([[wanted]]))


def test_medians_that_are_all_zero_become_the_mean() -> None:
    assert joined("median", np.eye(3), np.zeros(3, int))[0] == pytest.approx([1 / 3] * 3)


def finding_in_one_image(answers: int = 60, count: int = 9) -> tuple[AnswerImages, np.ndarray]:
    """Of a positive answer one image shows the finding; the others are noise."""
    rng = np.random.default_rng(1)
    truth = np.arange(answers) % 2
    positive = rng.uniform(0, 0.6, (answers, count))
    positive[truth == 1, 0] = rng.uniform(0.7, 1, (truth == 1).sum())
    shares = positive.reshape(-1)
    predictions = np.stack([1 - shares, shares], axis=1)
    return AnswerImages.of(predictions, np.repeat(np.arange(answers), count)), truth


def test_the_fitted_k_has_the_best_score_of_all() -> None:
    images, truth = finding_in_one_image()
    metric = Metric.open("auc")
    fitted = TopKMean(metric=metric).fit(images, truth)
    scores = {k: metric.score(truth, images.join(TopKMean(k=k).combine)) for k in range(1, 10)}
    assert fitted.k is not None
    assert fitted.k <= 2, "few images show the finding"
    assert scores[fitted.k] == max(scores[k] for k in (1, 2, 3, 4, 5, 6, 8, 9))
    assert not fitted.needs_fit()


def test_an_option_that_is_given_is_not_fitted() -> None:
    images, truth = finding_in_one_image()
    assert TopKMean(k=4).fit(images, truth).k == 4
    assert ConfidenceWeighted(power=3).fit(images, truth).power == 3
    assert ConfidenceWeighted().needs_fit()


def test_among_equal_scores_the_plain_mean_wins() -> None:
    images = AnswerImages.of(np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9]]), np.array([0, 0, 1]))
    fitted = TopKMean(metric=Metric.open("accuracy")).fit(images, np.array([0, 1]))
    assert fitted.k == 2


def test_images_are_taken_with_their_answers() -> None:
    images = AnswerImages.of(drawn(), ANSWERS)
    whole = images.join(lambda stack: stack.mean(axis=1))
    some = images.take(np.array([3, 0]))
    assert some.counts.tolist() == [5, 2]
    assert np.allclose(some.join(lambda stack: stack.mean(axis=1)), whole[[3, 0]])
