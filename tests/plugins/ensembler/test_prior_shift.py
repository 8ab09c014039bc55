"""Prior shift finds the class shares of test rows by EM, as the paper's loop does."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import softmax
from sklearn.metrics import log_loss

from kit.kinds import Ensembler
from kit.plugins.ensembler.prior_shift import estimate_shares

SHARES = np.array([0.6, 0.3, 0.1])


def drawn(shares: np.ndarray, rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of three Gaussian classes at these shares, and their exact probabilities under SHARES."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(3, rows, p=shares)
    places = rng.normal(size=(rows, 3)) + 2 * np.eye(3)[truth]
    density = np.exp(2 * places) * SHARES
    return density / density.sum(1, keepdims=True), truth


def saerens(probabilities: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Equations 2.9 of Saerens et al. 2002, row by row."""
    estimate = shares.copy()
    for _ in range(3000):
        posteriors = []
        for row in probabilities:
            values = [estimate[k] / shares[k] * row[k] for k in range(3)]
            posteriors.append([value / sum(values) for value in values])
        estimate = np.mean(posteriors, axis=0)
    return estimate


def test_the_shares_are_those_of_the_papers_loop() -> None:
    probabilities, _ = drawn(np.array([0.2, 0.3, 0.5]), 60, 0)
    np.testing.assert_allclose(
        estimate_shares(probabilities, SHARES), saerens(probabilities, SHARES), atol=1e-4
    )


def posterior(shares: np.ndarray, probabilities: np.ndarray, alpha: float) -> float:
    """The log posterior of shares under a Dirichlet prior, up to a constant, as the paper defines it."""
    likelihoods = (probabilities / SHARES) @ shares
    return float(np.log(likelihoods).sum() + (alpha - 1) * np.log(shares).sum())


def test_the_shares_with_a_prior_have_the_highest_posterior() -> None:
    probabilities, _ = drawn(np.array([0.0, 0.3, 0.7]), 60, 0)
    solution = minimize(
        lambda values: -posterior(softmax(np.array([*values, 0.0])), probabilities, 3.0), np.zeros(2)
    )
    expected = softmax(np.array([*solution.x, 0.0]))
    np.testing.assert_allclose(estimate_shares(probabilities, SHARES, 3.0), expected, atol=1e-4)
    assert estimate_shares(probabilities, SHARES)[0] < expected[0]


def test_a_prior_keeps_wrongly_sure_rows_from_extreme_shares() -> None:
    """Rows of other places than those of training: too sure, and often wrong."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 20, 150)
    logits = 3 * rng.normal(size=(150, 20)) + 5 * np.eye(20)[truth]
    probabilities = softmax(logits, axis=1)
    even = np.full(20, 0.05)
    far = [np.abs(np.log(estimate_shares(probabilities, even, alpha) / even)).max() for alpha in (1.0, 3.0)]
    assert far[0] > 2 > far[1]


def test_shifted_rows_are_predicted_better_and_others_alike() -> None:
    train, truth = drawn(SHARES, 3000, 1)
    recipe = Ensembler.open("prior_shift").fit(train[None], truth)
    there = np.array([0.1, 0.3, 0.6])
    shifted, answers = drawn(there, 2000, 2)
    blended = recipe.blend(shifted[None])
    assert log_loss(answers, blended) < log_loss(answers, shifted) - 0.1
    assert estimate_shares(shifted, SHARES) == pytest.approx(there, abs=0.04)
    alike, answers = drawn(SHARES, 2000, 3)
    assert log_loss(answers, recipe.blend(alike[None])) < log_loss(answers, alike) + 0.005


def test_few_rows_stay_as_they_are() -> None:
    train, truth = drawn(SHARES, 300, 1)
    recipe = Ensembler.open("prior_shift").fit(train[None], truth)
    np.testing.assert_allclose(recipe.blend(train[None, :10]), train[:10])
