"""Contract tests of metrics on drawn probabilities of two, three and five classes, by the labels they take."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from kit.core.randomness import generator
from kit.kinds import Metric
from kit.kinds.levels import Level
from kit.kinds.metric_shortcuts import (
    confusion,
    scores_by_weights,
    scores_class_counts,
    scores_confusion,
    scores_true_class,
    true_class_probability,
)
from kit.kinds.score_context import ScoreContext
from kit.kinds.several_target import SeveralTarget
from kit.kinds.targets import MULTI_HOT, NUMBERS, ONE_CLASS, SOFT, Target

CLASSES = (2, 3, 5)


Draw = tuple[Metric, np.ndarray, np.ndarray]  # the metric with these rows, their truth, and probabilities


def _draw(plugin: Metric) -> Iterator[Draw]:
    """Yields truth of each kind that the metric takes, with every class, and probabilities correlated with it."""
    for classes in CLASSES:
        rng = generator(0, "laws of metrics", classes)
        numbers = rng.permutation(np.arange(60) % classes)
        if plugin.takes_labels("class_index"):
            shares = rng.dirichlet(np.ones(classes), 60) + 0.3 * np.eye(classes)[numbers]
            shares = (shares / shares.sum(axis=1, keepdims=True)).astype(np.float32)
            yield _bind(plugin, classes, ONE_CLASS), numbers, shares
        if plugin.takes_labels("multi_hot"):
            hot = (numbers[:, None] == np.arange(classes)) ^ (rng.random((60, classes)) < 0.3)
            shares = (0.7 * rng.random((60, classes)) + 0.3 * hot).astype(np.float32)
            yield _bind(plugin, classes, MULTI_HOT), hot.astype(np.int8), shares
        if plugin.takes_labels("numbers"):
            values = rng.normal(size=(60, classes)) * 10.0 ** np.arange(classes)
            yield _bind(plugin, classes, NUMBERS), values, (0.9 * values + 0.3).astype(np.float32)
        if plugin.takes_labels("soft"):
            votes = rng.dirichlet(np.ones(classes), 60)
            shares = rng.dirichlet(np.ones(classes), 60).astype(np.float32)
            yield _bind(plugin, classes, SOFT), votes, shares
        if plugin.takes_labels("several"):
            target = SeveralTarget((("first", classes), ("second", 2)))
            second = rng.permutation(np.arange(60) % 2)
            parts = np.concatenate([np.eye(classes)[numbers], np.eye(2)[second]], axis=1).astype(np.int8)
            shares = target.normalise(parts + rng.random(parts.shape)).astype(np.float32)
            yield _bind(plugin, classes + 2, target), parts, shares


def _bind(plugin: Metric, classes: int, target: Target) -> Metric:
    """Returns the metric with names of the classes, ids, groups of three rows, and weights."""
    rows, names = np.arange(60), tuple(map(str, range(classes)))
    parity = tuple("even" if number % 2 == 0 else "odd" for number in range(classes))
    context = ScoreContext(
        classes=names,
        superclasses=parity,
        levels=(Level("parity", parity),),
        target=target,
        ids=rows.astype(str),
        groups=(rows // 3).astype(str),
        weights=1.0 + rows % 2,
    )
    return plugin.with_known(context=context)


def _perfect(truth: np.ndarray, shares: np.ndarray) -> np.ndarray:
    return truth.astype(np.float32) if truth.ndim == 2 else np.eye(shares.shape[1], dtype=np.float32)[truth]


def _wrong_probabilities(truth: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Returns certain answers that are all wrong; for shares those of the next class, for numbers distant ones."""
    perfect = _perfect(truth, shares)
    if truth.dtype.kind == "f":
        return np.asarray(np.roll(perfect, 1, axis=1 if (truth >= 0).all() else 0))
    return 1 - perfect if truth.ndim == 2 else np.roll(perfect, 1, axis=1)


def _what(truth: np.ndarray, shares: np.ndarray) -> str:
    return f"{shares.shape[1]} classes{', values per row' * (truth.ndim == 2)}"


def law_perfect_predictions_are_best(plugin: Metric) -> None:
    """Perfect predictions score at least as well as any other."""
    for metric, truth, drawn in _draw(plugin):
        best = metric.score(truth, _perfect(truth, drawn))
        for other in (drawn, np.full_like(drawn, 1 / drawn.shape[1]), _wrong_probabilities(truth, drawn)):
            score = metric.score(truth, other)
            ahead = best - score if metric.higher_is_better else score - best
            assert ahead >= 0, f"{_what(truth, drawn)}: perfect predictions score {best}, others {score}"


def law_a_score_is_finite(plugin: Metric) -> None:
    """A score is a finite number, also for confident predictions that are all wrong."""
    for metric, truth, drawn in _draw(plugin):
        for shares in (drawn, _wrong_probabilities(truth, drawn)):
            score = metric.score(truth, shares)
            assert isinstance(score, float), f"a score is a float, not {type(score).__name__}"
            assert math.isfinite(score), f"{_what(truth, drawn)} score {score}"


def law_a_score_is_within_the_limits(plugin: Metric) -> None:
    """A score is within the metric's limits, also for confident predictions that are all wrong."""
    low, high = plugin.limits
    for metric, truth, drawn in _draw(plugin):
        for shares in (drawn, _perfect(truth, drawn), _wrong_probabilities(truth, drawn)):
            score = metric.score(truth, shares)
            assert low <= score <= high, f"{_what(truth, drawn)} score {score}, not from {low} to {high}"


def law_the_order_of_rows_does_not_matter(plugin: Metric) -> None:
    """The order of the rows does not change the score."""
    for metric, truth, drawn in _draw(plugin):
        backwards = np.arange(len(truth))[::-1]
        score, turned = (
            metric.score(truth, drawn),
            metric.take_rows(backwards).score(truth[::-1], drawn[::-1]),
        )
        assert math.isclose(score, turned, rel_tol=1e-9), f"{_what(truth, drawn)}: {score}, turned {turned}"


def law_a_shortcut_agrees_with_the_score(plugin: Metric) -> None:
    """Shortcuts (`of_confusion`, `of_margins`, `of_true`, `score_by_weights`) give what `score` gives."""
    for metric, truth, drawn in _draw(plugin):
        score = metric.score(truth, drawn)
        if scores_confusion(metric) and truth.ndim == 1:
            short = metric.of_confusion(confusion(truth, drawn.argmax(axis=1), drawn.shape[1]))
            assert math.isclose(score, short, rel_tol=1e-9), f"score {score}, of_confusion {short}"
        if scores_class_counts(metric) and truth.ndim == 1:
            table = confusion(truth, drawn.argmax(axis=1), drawn.shape[1])
            short = metric.of_margins(table.diagonal(), table.sum(axis=0), table.sum(axis=1))
            assert math.isclose(score, short, rel_tol=1e-9), f"score {score}, of_margins {short}"
        if scores_true_class(metric):
            short = float(metric.of_true(true_class_probability(truth, drawn)).mean())
            assert math.isclose(score, short, rel_tol=1e-9), f"score {score}, of_true {short}"
        _check_weights(metric, truth, drawn)


def _check_weights(metric: Metric, truth: np.ndarray, drawn: np.ndarray) -> None:
    """Checks that weights of 1, 2 and 3 score as rows that occur once, twice and three times."""
    times = np.arange(len(truth)) % 3 + 1
    rows = np.repeat(np.arange(len(truth)), times)
    score = metric.take_rows(rows).score(truth[rows], drawn[rows])
    if scores_by_weights(metric):
        short = metric.score_by_weights(truth, drawn)(times)
        assert math.isclose(score, short, rel_tol=1e-9), f"score {score}, reweighted {short}"
