"""Part scores: the scores and confusions of a member for each part of an answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import numpy as np

from kit.data.table import Table
from kit.errors import KitError
from kit.kinds import Metric
from kit.kinds.metric_shortcuts import ScoresParts, confusion
from kit.kinds.plugin import Plugin
from kit.kinds.several_target import PART_SEPARATOR, AnswerPart, SeveralTarget
from kit.stages.reporting.classes import of_confusion
from kit.stages.reporting.row_facts import PartEvaluation
from kit.stages.reporting.values import score_column

YES_NO = ("no", "yes")


def evaluate_parts(table: Table, predictions: np.ndarray, metric: Metric) -> tuple[PartEvaluation, ...]:
    """Returns each part's rows with a label, scores, and confusion matrix or scatter.

    Each column of a part with yes and no or with numbers is evaluated alone. `metric` is the competition's, and knows
    the table's rows.
    """
    assert isinstance(table.target, SeveralTarget)
    truth = np.asarray(table.targets(), dtype=np.float64)
    known = ~table.target.find_missing(truth)
    scores = _scores_of(metric, truth, predictions)
    evaluations: list[PartEvaluation] = []
    for part in table.target.layout:
        for columns, name in _blocks(part, table.classes):
            rows = np.asarray(known[:, columns].all(axis=1))
            if rows.any():
                scores_of_part = scores.get(name, {})
                own = (table, part, columns, name, truth[rows, columns], predictions[rows, columns])
                evaluations.append(_evaluate(*own, scores_of_part))
    return tuple(evaluations)


def _blocks(part: AnswerPart, names: tuple[str, ...]) -> Iterator[tuple[slice, str]]:
    """Yields the columns of a softmax part with its name, or each column of another part with the column's name."""
    if part.kind == "softmax":
        yield part.place, part.name
        return
    for at in range(part.place.start, part.place.stop):
        yield slice(at, at + 1), names[at]


def _evaluate(
    table: Table,
    part: AnswerPart,
    columns: slice,
    name: str,
    truth: np.ndarray,
    given: np.ndarray,
    scores: Mapping[str, float],
) -> PartEvaluation:
    if part.kind == "number":
        column = score_column(name, truth[:, 0], given[:, 0].astype(np.float64))
        return PartEvaluation(name, part.kind, len(truth), scores, None, (), (), column)
    if part.kind == "softmax":
        names = tuple(one.partition(PART_SEPARATOR)[2] or one for one in table.classes[columns])
        true, predicted = truth.argmax(axis=1), given.argmax(axis=1)
    else:
        names = YES_NO
        true, predicted = truth[:, 0].astype(np.int64), (given[:, 0] >= 0.5).astype(np.int64)
    counts = confusion(true, predicted, len(names))
    right = float((true == predicted).mean())
    classes, cells = of_confusion(counts, names), tuple(map(tuple, counts.tolist()))
    return PartEvaluation(name, part.kind, len(truth), scores, right, classes, cells, None)


def _scores_of(metric: Metric, truth: np.ndarray, predictions: np.ndarray) -> dict[str, dict[str, float]]:
    """Returns the scores of each part by the metrics of parts in the competition's metric."""
    scores: dict[str, dict[str, float]] = {}
    for part in _metrics_of_parts(metric):
        with suppress(KitError):
            for name, (by, score) in part.score_parts(truth, predictions).items():
                scores.setdefault(name, {})[by] = score
    return scores


def _metrics_of_parts(metric: Plugin) -> Iterator[Any]:
    if isinstance(metric, ScoresParts):
        yield metric
        return
    for inner in metric.inner_plugins():
        yield from _metrics_of_parts(inner)
