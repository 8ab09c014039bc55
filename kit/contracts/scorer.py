"""Contract tests of scorers on drawn neighbours; a fitted one is fitted on their truth first."""

from __future__ import annotations

import numpy as np

from kit.core.randomness import generator
from kit.kinds import RetrievedNeighbours, Scorer
from kit.kinds.classes import Classes

ROWS, CLASSES, K = 40, 4, 8


def _draw(plugin: Scorer) -> tuple[Scorer, RetrievedNeighbours, np.ndarray]:
    """Returns the plugin fitted on neighbours correlated with the truth; rows 2 and 3 are equal, row 4 is
    unlike all.
    """
    rng = generator(0, "laws of scorers")
    truth = rng.permutation(np.arange(ROWS) % CLASSES)
    similarities = -np.sort(-rng.uniform(-0.2, 1, (ROWS, K)), axis=1).astype(np.float32)
    labels = np.where(rng.random((ROWS, K)) < 0.5, truth[:, None], rng.integers(0, CLASSES, (ROWS, K)))
    shares = rng.dirichlet(np.ones(CLASSES), ROWS).astype(np.float32)
    for values in (similarities, labels, shares):
        values[3] = values[2]
    similarities[4] = -0.5
    near = RetrievedNeighbours(similarities, labels, CLASSES, shares)
    names = (*map(str, range(CLASSES - 1)), *(plugin.classes_to_ignore() or ("3",)))
    return plugin.with_classes(Classes(names)).fit(near, truth), near, truth


def law_rows_are_probabilities(plugin: Scorer) -> None:
    """Scores (N, K) are finite and not negative, and each row sums to 1."""
    bound, near, _ = _draw(plugin)
    scores = bound.score(near)
    assert scores.shape == (ROWS, CLASSES), f"{near.labels.shape} became {scores.shape}"
    assert np.isfinite(scores).all(), f"{(~np.isfinite(scores)).sum()} values are not finite"
    assert scores.min() >= 0, f"the least is {scores.min()}"
    assert np.abs(scores.sum(axis=1) - 1).max() < 1e-6, f"a row sums to {scores.sum(axis=1).min()}"


def law_equal_rows_are_scored_alike(plugin: Scorer) -> None:
    """Rows with equal neighbours have equal scores."""
    bound, near, _ = _draw(plugin)
    scores = bound.score(near)
    assert np.allclose(scores[2], scores[3], rtol=0, atol=1e-12), f"{scores[2]} and {scores[3]}"


def law_more_neighbours_than_it_looks_at_change_nothing(plugin: Scorer) -> None:
    """It uses only as many neighbours as `neighbours` returns."""
    bound, near, _ = _draw(plugin)
    count = min(bound.neighbours(), K)
    off = np.abs(bound.score(near.top_k(count)) - bound.score(near)).max()
    assert off < 1e-12, f"a score is {off} away with {K} neighbours instead of {count}"


def law_neighbours_that_agree_win(plugin: Scorer) -> None:
    """If all near neighbours of a row and the classifier agree on a class, the scorer predicts it."""
    bound, _, _ = _draw(plugin)
    probabilities = np.full((CLASSES, CLASSES), 0.01, np.float32) + np.eye(CLASSES, dtype=np.float32) * (
        1 - 0.01 * CLASSES
    )
    agreeing = RetrievedNeighbours(
        np.full((CLASSES, K), 0.99, np.float32),
        np.repeat(np.arange(CLASSES)[:, None], K, axis=1),
        CLASSES,
        probabilities,
    )
    predicted = bound.score(agreeing).argmax(axis=1)
    assert (predicted == np.arange(CLASSES)).all(), (
        f"neighbours all of classes 0 to {CLASSES - 1} were answered with {predicted}"
    )
