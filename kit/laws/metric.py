"""The laws of metrics, held against drawn probabilities of two, three and five classes."""

from __future__ import annotations

import math

import numpy as np

from kit.kinds import Metric
from kit.randomness import generator
from kit.shortcuts import OfDecisions, OfTrueClass, confusion, true_shares

CLASSES = (2, 3, 5)


def _drawn(classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Truth in which every class occurs, and probabilities that know a little of it."""
    rng = generator(0, "laws of metrics", classes)
    truth = rng.permutation(np.arange(60) % classes)
    shares = rng.dirichlet(np.ones(classes), 60) + 0.3 * np.eye(classes)[truth]
    return truth, (shares / shares.sum(axis=1, keepdims=True)).astype(np.float32)


def law_perfect_predictions_are_best(plugin: Metric) -> None:
    """Perfect predictions score at least as well as any other."""
    for classes in CLASSES:
        truth, drawn = _drawn(classes)
        perfect = np.eye(classes, dtype=np.float32)[truth]
        best = plugin.score(truth, perfect)
        for other in (drawn, np.full_like(drawn, 1 / classes), np.roll(perfect, 1, axis=1)):
            score = plugin.score(truth, other)
            ahead = best - score if plugin.higher_is_better else score - best
            assert ahead >= 0, f"{classes} classes: perfect predictions score {best}, others {score}"


def law_a_score_is_finite(plugin: Metric) -> None:
    """A score is a finite number, also for certain answers that are all wrong."""
    for classes in CLASSES:
        truth, drawn = _drawn(classes)
        for shares in (drawn, np.roll(np.eye(classes, dtype=np.float32)[truth], 1, axis=1)):
            score = plugin.score(truth, shares)
            assert isinstance(score, float), f"a score is a float, not {type(score).__name__}"
            assert math.isfinite(score), f"{classes} classes score {score}"


def law_the_order_of_rows_does_not_matter(plugin: Metric) -> None:
    """The same rows in another order have the same score."""
    for classes in CLASSES:
        truth, drawn = _drawn(classes)
        score, turned = plugin.score(truth, drawn), plugin.score(truth[::-1], drawn[::-1])
        assert math.isclose(score, turned, rel_tol=1e-9), f"{classes} classes: {score}, turned {turned}"


def law_a_shortcut_agrees_with_the_score(plugin: Metric) -> None:
    """What a metric offers for speed, `of_confusion` or `of_true`, gives what `score` gives."""
    for classes in CLASSES:
        truth, drawn = _drawn(classes)
        score = plugin.score(truth, drawn)
        if isinstance(plugin, OfDecisions):
            short = plugin.of_confusion(confusion(truth, drawn.argmax(axis=1), classes))
            assert math.isclose(score, short, rel_tol=1e-9), f"score {score}, of_confusion {short}"
        if isinstance(plugin, OfTrueClass):
            short = float(plugin.of_true(true_shares(truth, drawn)).mean())
            assert math.isclose(score, short, rel_tol=1e-9), f"score {score}, of_true {short}"
