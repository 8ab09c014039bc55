"""Blends of numbers: the weights of scipy and scikit-learn, and recipes that refuse numbers."""

from __future__ import annotations

import numpy as np
import pytest

from kit.errors import ConfigError
from kit.evaluation.competition import for_labels
from kit.kinds import Ensembler
from kit.kinds.label_kinds import check_takes
from kit.kinds.targets import NUMBERS, SOFT
from kit.plugins.ensembler.linear import LinearStacking
from kit.plugins.ensembler.simplex import Simplex
from kit.plugins.ensembler.single import Single

RNG = np.random.default_rng(0)
TRUTH = RNG.normal(50, 10, (200, 2))
MEMBERS = np.stack(
    [TRUTH + RNG.normal(bias, noise, TRUTH.shape) for bias, noise in ((1, 3), (-2, 6), (0, 9))]
)


def fitted(spec: object) -> Ensembler:
    return for_labels(Ensembler.open(spec), NUMBERS).fit(MEMBERS, TRUTH)


def test_linear_is_ridge_regression_towards_equal_weights() -> None:
    from sklearn.linear_model import Ridge

    recipe = fitted({"name": "linear", "non_negative": False, "l2": 0.05})
    blended = recipe.blend(MEMBERS)
    for column in range(2):
        inputs, truth = MEMBERS[:, :, column].T, TRUTH[:, column]
        alpha = 0.05 * len(truth) * inputs.var(axis=0).mean()
        ridge = Ridge(alpha=alpha).fit(inputs, truth - inputs.mean(axis=1))
        assert np.allclose(blended[:, column], ridge.predict(inputs) + inputs.mean(axis=1))


def test_linear_without_a_penalty_is_non_negative_least_squares() -> None:
    from scipy.optimize import nnls

    recipe = fitted({"name": "linear", "l2": 0})
    inputs, truth = MEMBERS[:, :, 0].T, TRUTH[:, 0]
    wanted = nnls(inputs - inputs.mean(axis=0), truth - truth.mean())[0]
    assert isinstance(recipe, LinearStacking)
    assert np.allclose(recipe.coefficients[0], wanted)
    with pytest.raises(ConfigError, match="C21"):
        recipe.blend(MEMBERS[:2])
    assert np.allclose(recipe.restrict(recipe.find_used(3)).blend(MEMBERS), recipe.blend(MEMBERS))


def test_simplex_finds_the_weights_of_the_least_squared_error() -> None:
    from scipy.optimize import nnls

    simplex = fitted("simplex")
    assert isinstance(simplex, Simplex)
    weights = np.array(simplex.weights)
    scale = TRUTH.std(axis=0)
    errors = np.stack([((member - TRUTH) / scale).ravel() for member in MEMBERS], axis=1)
    # a sum of 1 as a row of large weight, Lawson and Hanson's way
    wanted = nnls(np.vstack([errors, np.full(3, 1e4)]), np.append(np.zeros(len(errors)), 1e4))[0]
    assert np.allclose(weights, wanted, atol=1e-4)
    assert weights.sum() == pytest.approx(1)


def test_the_median_is_numpys_and_a_trimmed_mean_is_scipys() -> None:
    from scipy.stats import trim_mean

    many = np.concatenate([MEMBERS, MEMBERS + 5])
    assert np.allclose(fitted("trimmed_mean").blend(many), np.median(many, axis=0))
    fifth = fitted({"name": "trimmed_mean", "trim": 0.2})
    assert np.allclose(fifth.blend(many), trim_mean(many, 0.2, axis=0))


def test_hill_climbing_single_greedy_and_auto_take_the_best_by_rmse() -> None:
    def rmse(values: np.ndarray) -> float:
        return float(np.sqrt(((values - TRUTH) ** 2).mean(axis=0)).mean())

    best = min(rmse(member) for member in MEMBERS)
    single = fitted("single")
    assert isinstance(single, Single)
    assert single.member == 0
    for name in ("hill_climb", "greedy", "auto"):
        assert rmse(fitted(name).blend(MEMBERS)) <= best + 1e-9


@pytest.mark.parametrize("name", ["geometric", "rank", "stacking", "temperature", "vote", "prior_matching"])
def test_recipes_of_probabilities_refuse_numbers(name: str) -> None:
    with pytest.raises(ConfigError, match="C17") as caught:
        check_takes([Ensembler.open(name)], "numbers")
    assert "linear" in str(caught.value)


def test_simplex_of_shares_has_the_least_cross_entropy() -> None:
    rng = np.random.default_rng(2)
    truth = rng.dirichlet(np.ones(3), 300)
    members = np.stack([0.5 * truth + 0.5 * rng.dirichlet(np.ones(3), 300), rng.dirichlet(np.ones(3), 300)])
    simplex = for_labels(Ensembler.open("simplex"), SOFT).fit(members, truth)
    assert isinstance(simplex, Simplex)
    weights = simplex.weights

    def cost(share: float) -> float:
        return -float((truth * np.log(share * members[0] + (1 - share) * members[1])).sum(axis=1).mean())

    grid = np.linspace(0.5, 1, 501)
    assert weights[0] == pytest.approx(grid[np.argmin([cost(share) for share in grid])], abs=2e-3)
