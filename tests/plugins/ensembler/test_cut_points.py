"""Cut points: the best of all by brute force, and no worse than Nelder-Mead."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from kit.errors import ConfigError
from kit.evaluation.crossfit import cross_fit
from kit.kinds import Ensembler
from kit.plugins.ensembler.cut_points import cut, expected_grades

QWK = {"name": "cohen_kappa", "weights": "quadratic"}


def drawn(rows: int, classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Members (2, N, K) that pull grades to the middle, so that rounding is not best, and grades (N,)."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, rows)
    values = np.clip(0.5 * truth + 0.7 + rng.normal(0, 0.35, (2, rows)), 0, classes - 1)
    return (1 - np.abs(values[:, :, None] - np.arange(classes))).clip(0), truth


def fitted(members: np.ndarray, truth: np.ndarray) -> Ensembler:
    return Ensembler.open({"name": "cut_points", "metric": QWK}).fit(members, truth)


def kappa(truth: np.ndarray, grades: np.ndarray) -> float:
    return float(cohen_kappa_score(truth, grades, weights="quadratic"))


def test_of_three_grades_they_are_the_best_of_all_pairs() -> None:
    for seed in range(5):
        members, truth = drawn(24, 3, seed)
        values = expected_grades(members.mean(axis=0))
        different = np.unique(values)
        places = np.concatenate([[-1], (different[1:] + different[:-1]) / 2, [9]])
        best = max(kappa(truth, cut(values, pair)) for pair in combinations(places, 2))
        probabilities = fitted(members, truth).blend(members)
        assert kappa(truth, probabilities.argmax(axis=1)) == pytest.approx(best)
        assert np.array_equal(np.unique(probabilities), [0, 1])


def test_they_are_no_worse_than_nelder_meads_and_better_than_rounding() -> None:
    from scipy.optimize import minimize

    members, truth = drawn(400, 5)
    values = expected_grades(members.mean(axis=0))
    start = np.arange(1, 5) - 0.5
    searched = minimize(lambda cuts: -kappa(truth, cut(values, np.sort(cuts))), start, method="Nelder-Mead").x
    score = kappa(truth, fitted(members, truth).blend(members).argmax(axis=1))
    assert score >= kappa(truth, cut(values, np.sort(searched))) - 1e-9
    assert score > kappa(truth, cut(values, start)) + 0.02


def test_each_folds_rows_are_cut_as_the_other_folds_say() -> None:
    members, truth = drawn(60, 4)
    folds = np.arange(60) % 3
    honest, _ = cross_fit(Ensembler.open({"name": "cut_points", "metric": QWK}), members, truth, folds)
    others = fitted(members[:, folds != 1], truth[folds != 1])
    assert np.array_equal(honest[folds == 1], others.blend(members[:, folds == 1]))


def test_a_fitted_recipe_comes_back_from_its_json_and_knows_how_many_grades_it_has() -> None:
    members, truth = drawn(40, 4)
    recipe = fitted(members, truth)
    again = Ensembler.open(recipe.spec())
    assert np.array_equal(again.blend(members), recipe.blend(members))
    with pytest.raises(ConfigError, match="3 cut points for 5 grades"):
        again.blend(drawn(10, 5)[0])
