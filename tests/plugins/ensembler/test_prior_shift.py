"""Prior shift finds the class shares of test rows by EM, as the paper's loop does."""

from __future__ import annotations

import numpy as np
import pytest
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
    found = shares.copy()
    for _ in range(3000):
        posteriors = []
        for row in probabilities:
            values = [found[k] / shares[k] * row[k] for k in range(3)]
            posteriors.append([value / sum(values) for value in values])
        found = np.mean(posteriors, axis=0)
    return found


def test_the_shares_are_those_of_the_papers_loop() -> None:
    probabilities, _ = drawn(np.array([0.2, 0.3, 0.5]), 60, 0)
    np.testing.assert_allclose(
        estimate_shares(probabilities, SHARES), saerens(probabilities, SHARES), atol=1e-4
    )


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
