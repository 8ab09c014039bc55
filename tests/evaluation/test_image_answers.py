"""Scores of answers that are images equal those by hand and by brute force, and thresholds do not see their rows."""

from __future__ import annotations

import numpy as np
import pytest

from kit.evaluation.image_answers import RankedImages, SetRule, cross_fit_sets, mean_average_precision


def ranked(similarities: list[list[float]], relevant: list[list[int]], wanted: list[int]) -> RankedImages:
    return RankedImages(
        np.array(similarities, np.float32), np.array(relevant, dtype=bool), np.array(wanted, np.int64)
    )


def test_average_precision_by_hand() -> None:
    # (1/1 + 2/3) / 2, 1/2 / min(5, 3), and a query that wants nothing
    images = ranked([[0.9, 0.8, 0.7]] * 3, [[1, 0, 1], [0, 1, 0], [0, 0, 0]], [2, 5, 0])
    assert mean_average_precision(images, 3) == pytest.approx((5 / 6 + 1 / 6) / 2)
    assert mean_average_precision(images, 1) == pytest.approx((1 + 0) / 2)
    assert np.isnan(mean_average_precision(ranked([[0.9]], [[0]], [0]), 1))


def brute_f1(names: list[set[int]], right: list[set[int]]) -> float:
    return float(np.mean([2 * len(a & b) / (len(a) + len(b)) for a, b in zip(names, right, strict=True)]))


@pytest.mark.parametrize("with_self", [True, False])
def test_the_f1_of_sets_is_that_of_python_sets(with_self: bool) -> None:
    rng = np.random.default_rng(0)
    groups, vectors = rng.integers(0, 6, 40), rng.normal(size=(40, 5))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -2)
    order = np.argsort(-cosines, axis=1)[:, :39]
    images = RankedImages(
        np.take_along_axis(cosines, order, axis=1),
        groups[order] == groups[:, None],
        np.bincount(groups)[groups] - 1,
    )
    own = [{row} if with_self else set[int]() for row in range(40)]
    sets = [set(np.flatnonzero(cosines[row] >= 0.4).tolist()) | own[row] for row in range(40)]
    right = [
        set(np.flatnonzero((groups == groups[row]) & (np.arange(40) != row)).tolist()) | own[row]
        for row in range(40)
    ]
    rule = SetRule(0.4, 0, 40, with_self)
    rows = rule.score_rows(images)
    assert rows.mean() == pytest.approx(brute_f1(sets, right))
    fitted = SetRule(0, 0, 40, with_self).fit(images)
    assert fitted.score_rows(images).mean() >= rows.mean()


def test_a_set_has_at_least_and_at_most_so_many_images() -> None:
    similarities = np.array([[0.9, 0.8, 0.1], [0.3, 0.2, 0.1]], np.float32)
    assert SetRule(0.5, 1, 50, True).count_images(similarities).tolist() == [2, 0]
    assert SetRule(0.5, 2, 2, True).count_images(similarities).tolist() == [1, 1]
    assert SetRule(0.5, 2, 50, False).count_images(similarities).tolist() == [2, 2]


def test_a_threshold_is_scored_on_other_folds_than_it_was_fitted_on() -> None:
    # fold 0 is right above .6 alone, fold 1 above .2
    similarities = [[0.9, 0.5], [0.8, 0.4], [0.3, 0.1], [0.35, 0.15]]
    images = ranked(similarities, [[1, 0], [1, 0], [1, 0], [1, 0]], [1, 1, 1, 1])
    folds = np.array([0, 0, 1, 1])
    rule = SetRule(0, 1, 50, True)
    first, second = rule.fit(images.take(folds == 0)), rule.fit(images.take(folds == 1))
    score, fitted = cross_fit_sets(rule, images, folds)
    by_hand = [*second.score_rows(images.take(folds == 0)), *first.score_rows(images.take(folds == 1))]
    assert score == pytest.approx(np.mean(by_hand))
    assert score < fitted.score_rows(images).mean()
