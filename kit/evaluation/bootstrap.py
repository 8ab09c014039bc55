"""Bootstrap: scores on rows drawn with replacement, and the gain of one prediction over another.

All predictions are scored on the same draws. If rows have groups, whole groups are drawn: rows of one group
are similar, and draws of single rows would underestimate the interval of a gain.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np

from kit.core.arrays import Targets
from kit.core.randomness import generator
from kit.data.predictions import Predictions, common_ids
from kit.data.table import Table
from kit.errors import InvalidError
from kit.evaluation.hill_climbing import in_threads
from kit.kinds import Metric
from kit.kinds.metric_shortcuts import (
    FromConfusionMatrix,
    FromTrueClassProbability,
    score_decisions,
    scores_by_weights,
    scores_confusion,
    scores_true_class,
    true_class_probability,
)

MIN_DRAWS, MAX_DRAWS = 100, 1000  # draws
VALUE_BUDGET = 4e8  # values read in all draws, before the number of draws decreases
SORTED, RECOUNTED = 10, 40  # relative cost of a value of a metric without tables
DRAWS_PER_BLOCK = 50  # draws whose weights are held at once

Drawing = Callable[[int], Iterator[np.ndarray]]  # number of draws: how often each unit is drawn


def draw_count(values: int) -> int:
    """Returns the number of draws, given the number of values that each needs."""
    return int(np.clip(VALUE_BUDGET / max(values, 1), MIN_DRAWS, MAX_DRAWS))


def resample_scores(
    metric: Metric,
    truth: Targets,
    predictions: Sequence[np.ndarray],
    groups: np.ndarray | None = None,
    seed: int = 0,
    rows: int | None = None,
) -> np.ndarray:
    """Returns scores (draws, predictions) of resampled rows, the same rows for all predictions.

    It is NaN if the metric has no score. Each of the predictions is (N, K). `groups` (N,) are drawn whole. A
    draw has about `rows` rows, by default N.
    """
    units = np.arange(len(truth)) if groups is None else np.unique(groups, return_inverse=True)[1]
    drawing = partial(_weights, units, seed=seed, rows=rows)
    if truth.ndim == 1 and scores_confusion(metric):
        return _of_decisions(metric, truth, predictions, units, drawing)
    if scores_true_class(metric):
        return _of_true(metric, truth, predictions, units, drawing)
    if scores_by_weights(metric):
        return _of_weights(
            [metric.score_by_weights(truth, prediction) for prediction in predictions],
            sum(prediction.size for prediction in predictions),
            units,
            drawing,
        )
    return _of_rows(metric, truth, predictions, units, drawing)


def _weights(units: np.ndarray, draws: int, seed: int, rows: int | None) -> Iterator[np.ndarray]:
    """Yields how often each unit is drawn, int64 (units,), draw by draw."""
    count = int(units.max()) + 1
    size = count if rows is None else max(1, round(rows * count / len(units)))
    rng = generator(seed, "bootstrap", count)
    for _ in range(draws):
        yield np.bincount(rng.integers(count, size=size), minlength=count)


def _of_decisions(
    metric: FromConfusionMatrix,
    truth: Targets,
    predictions: Sequence[np.ndarray],
    units: np.ndarray,
    drawing: Drawing,
) -> np.ndarray:
    classes = predictions[0].shape[1]
    predicted = [prediction.argmax(axis=1) for prediction in predictions]
    draws = draw_count(len(truth) * len(predicted))
    scores = np.empty((draws, len(predicted)))
    for draw, drawn in enumerate(drawing(draws)):
        weights = drawn[units]
        for index, decisions in enumerate(predicted):
            scores[draw, index] = score_decisions(metric, truth, decisions, classes, weights)
    return scores


def _of_true(
    metric: FromTrueClassProbability,
    truth: Targets,
    predictions: Sequence[np.ndarray],
    units: np.ndarray,
    drawing: Drawing,
) -> np.ndarray:
    values = [
        metric.of_true(true_class_probability(truth, prediction)).reshape(len(truth), -1).mean(axis=1)
        for prediction in predictions
    ]
    sums = np.stack([np.bincount(units, value) for value in values], axis=1)  # (units, predictions)
    sizes = np.bincount(units)
    draws = draw_count(len(truth) * (1 + len(values) // 10))
    scores, drawn = [], drawing(draws)
    while block := [weights for _, weights in zip(range(DRAWS_PER_BLOCK), drawn, strict=False)]:
        weights = np.stack(block).astype(np.float64)
        scores.append(weights @ sums / (weights @ sizes)[:, None])
    return np.concatenate(scores)


def _of_weights(
    functions: Sequence[Callable[[np.ndarray], float]],
    values: int,
    units: np.ndarray,
    drawing: Drawing,
) -> np.ndarray:
    scores = []
    for weights in drawing(draw_count(SORTED * values)):
        by_row = weights[units]
        jobs = partial(_of_one, functions, by_row)
        scores.append(in_threads(jobs, range(len(functions)), len(units)))
    return np.array(scores)


def _of_one(functions: Sequence[Callable[[np.ndarray], float]], weights: np.ndarray, index: int) -> float:
    return _or_nan(functions[index], weights)


def _of_rows(
    metric: Metric,
    truth: Targets,
    predictions: Sequence[np.ndarray],
    units: np.ndarray,
    drawing: Drawing,
) -> np.ndarray:
    scores = []
    for weights in drawing(draw_count(RECOUNTED * sum(prediction.size for prediction in predictions))):
        rows_drawn = np.repeat(np.arange(len(truth)), weights[units])
        of_drawn = metric.take_rows(rows_drawn)
        scores.append(
            [_or_nan(of_drawn.score, truth[rows_drawn], prediction[rows_drawn]) for prediction in predictions]
        )
    return np.array(scores)


def _or_nan(score: Callable[..., float], *values: np.ndarray) -> float:
    """Returns the score, or NaN if there is none, such as AUC without two classes to compare."""
    try:
        return score(*values)
    except InvalidError:
        return float("nan")


INTERVAL_PERCENT = 95  # per cent of the draws within an interval
ROUNDING = 1e-9  # sums of the same members in another order differ by less
DEFINED = 0.5  # share of the draws that must have a score

T = TypeVar("T", bound=Hashable)


@dataclass(frozen=True)
class Gain:
    """The gain of a score over that of `over`, above 0 if it is better, for any metric; with the bootstrap's interval.

    `low` and `high` are None if the metric has a score in too few draws.
    """

    over: str
    value: float
    low: float | None
    high: float | None

    @property
    def is_significant(self) -> bool:
        """Whether the whole interval is above 0."""
        return self.low is not None and self.low > ROUNDING


def format_gain(gain: Gain) -> str:
    """Returns a gain, its interval, and whether it is significant, as text."""
    if gain.low is None or gain.high is None:
        return f"{gain.value:+.4f}; no interval, because too few bootstrap draws have a score"
    verdict = (
        "a significant gain"
        if gain.is_significant
        else "a significant loss"
        if gain.high < 0
        else "not significant"
    )
    return f"{gain.value:+.4f} (95 % {gain.low:+.4f} to {gain.high:+.4f}), {verdict}"


def gain_columns(measured_gain: Gain | None) -> dict[str, float | None]:
    """Returns a gain and its interval as the columns of a result's table."""
    if measured_gain is None:
        return {"gain": None, "gain_low": None, "gain_high": None}
    return {"gain": measured_gain.value, "gain_low": measured_gain.low, "gain_high": measured_gain.high}


def gain(
    metric: Metric, over: str, score: float, base: float, drawn: np.ndarray, drawn_base: np.ndarray
) -> Gain:
    """Returns the gain of a score over a base, with the scores of both in the same draws (draws,)."""
    sign = 1.0 if metric.higher_is_better else -1.0
    differences = sign * (drawn - drawn_base)
    finite = differences[np.isfinite(differences)]
    value = sign * (score - base)
    if len(finite) < DEFINED * len(differences) or not len(finite):
        return Gain(over, value, None, None)
    low, high = np.percentile(finite, [(100 - INTERVAL_PERCENT) / 2, (100 + INTERVAL_PERCENT) / 2])
    return Gain(over, value, float(low), float(high))


def simplest_not_worse(names: Sequence[T], better: Mapping[tuple[T, T], bool]) -> T:
    """Returns the first of names, from the simplest on, that no later one beats significantly.

    `better[later, earlier]` is true if the later one's gain over the earlier is significant.
    """
    return next(
        name
        for index, name in enumerate(names)
        if not any(better[later, name] for later in names[index + 1 :])
    )


def compute_gains(
    metric: Metric,
    truth: Targets,
    probabilities: np.ndarray,
    others: Mapping[str, np.ndarray],
    groups: np.ndarray | None = None,
) -> tuple[Gain, ...]:
    """Returns the gains of `probabilities` (N, K) over each of the others, by name."""
    drawn = resample_scores(metric, truth, [probabilities, *others.values()], groups)
    score = metric.score(truth, probabilities)
    return tuple(
        gain(metric, name, score, metric.score(truth, other), drawn[:, 0], drawn[:, column])
        for column, (name, other) in enumerate(others.items(), 1)
    )


def common_rows(one: Predictions, other: Predictions, table: Table) -> tuple[Table, np.ndarray, np.ndarray]:
    """Returns the labelled rows (N) that two runs both predict out of fold, and the predictions of each, (N, K).

    Raises InvalidError D41 if there are none.
    """
    ids = common_ids([one, other])
    if not len(ids):
        raise InvalidError("no row has out-of-fold predictions of both", code="D41")
    first, second = (predictions.mean().align(ids, allow_extra=True) for predictions in (one, other))
    return table.take(table.index_of(ids)), first, second
