"""Compares the config, the inputs and the scores of two runs, without torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from kit.config.origins import flatten
from kit.config.workspace import Workspace
from kit.data.predictions import Predictions
from kit.data.table import predictions_now, read_labelled_rows
from kit.errors import InvalidError
from kit.evaluation.bootstrap import Gain, common_rows, compute_gains
from kit.evaluation.competition import Scoring, bind_rows
from kit.kinds.decision import Decision
from kit.runs.run import Run
from kit.runs.watching import epochs_of

SHOWN_CLASSES = 5


@dataclass(frozen=True)
class ClassChange:
    """A class: its rows, and the share of them that each run predicts correctly."""

    name: str
    rows: int
    one: float
    other: float


@dataclass(frozen=True)
class RunCost:
    """The time of a run's epochs: seconds in all, and images per second at the median of the epochs.

    It is None if unknown.
    """

    seconds: float | None
    images_per_second: float | None


@dataclass(frozen=True)
class Compared:
    """Scores of two runs on the out-of-fold rows that both predict; `gain` is of the second over the first."""

    metric: str
    rows: int
    one: float
    other: float
    gain: Gain
    classes: tuple[ClassChange, ...]  # the largest changes come first


@dataclass(frozen=True)
class Difference:
    """Two runs: the differences of their configs by dotted key, of their inputs, and of their scores.

    `compared` is None if both predict no common rows, and `why` has the reason.
    """

    one: str
    other: str
    config: Mapping[str, tuple[Any, Any]]
    provenance: Mapping[str, tuple[Any, Any]]
    compared: Compared | None
    why: str
    spent: tuple[RunCost, RunCost]


def compare_runs(workspace: Workspace, one: Run, other: Run) -> Difference:
    """Returns how the second run differs from the first.

    Raises CheckpointError D51 for a config that cannot be read.
    """
    settings = [flatten(run.provenance) for run in (one, other)]
    try:
        compared, why = _compare(workspace, one, other), ""
    except InvalidError as error:
        compared, why = None, error.summary
    return Difference(
        one.name,
        other.name,
        _differences(flatten(one.config), flatten(other.config)),
        _differences(*settings),
        compared,
        why,
        (_cost_of(one), _cost_of(other)),
    )


def _differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Returns the keys whose values differ; None stands for a missing key."""
    keys = sorted({*one, *other})
    return {key: (one.get(key), other.get(key)) for key in keys if one.get(key) != other.get(key)}


def _compare(workspace: Workspace, one: Run, other: Run) -> Compared:
    """Compares the scores. Raises InvalidError D41 if a run has no predictions, or if the runs predict no
    common row.
    """
    read, table = (
        [_read_predictions(run) for run in (one, other)],
        read_labelled_rows(workspace.root, workspace.competition.data),
    )
    mine, theirs = (
        predictions_now(run.folder, predictions, table, workspace.competition.data.label_from.rename)
        for run, predictions in zip((one, other), read, strict=True)
    )
    if mine.classes != theirs.classes:
        raise InvalidError("the runs predict different classes", code="D42")
    scoring = Scoring.of(workspace, table)
    mine, theirs = (scoring.answers(predictions, table)[0] for predictions in (mine, theirs))
    rows, before, after = common_rows(mine, theirs, table.by_answer)
    metric = bind_rows(scoring.metric, rows)
    (gained,) = compute_gains(metric, rows.targets(), after, {one.name: before}, rows.groups)
    truth = rows.targets()
    scores = [metric.score(truth, shares) for shares in (before, after)]
    by_class = _classes(truth, before, after, mine.classes, metric.decision)
    moved = sorted(
        by_class if rows.target.has_decisions else (), key=lambda change: -abs(change.other - change.one)
    )
    return Compared(metric.plugin_name(), len(rows), scores[0], scores[1], gained, tuple(moved))


def _read_predictions(run: Run) -> Predictions:
    file = run.predictions("plain") / "oof.parquet"
    if not file.is_file():
        raise InvalidError(f"runs/{run.name} has no out-of-fold predictions yet", code="D41")
    return Predictions.read(file)


def _classes(
    truth: np.ndarray, before: np.ndarray, after: np.ndarray, names: tuple[str, ...], decision: Decision
) -> Iterator[ClassChange]:
    """Yields the share of each class's rows that is predicted correctly, by the most probable class or the
    decision rule.
    """
    hot = truth > 0 if truth.ndim == 2 else truth[:, None] == np.arange(len(names))
    predicted = [
        decision.assign_labels(shares)
        if truth.ndim == 2
        else shares.argmax(axis=1)[:, None] == np.arange(len(names))
        for shares in (before, after)
    ]
    for number in np.flatnonzero(hot.any(axis=0)).tolist():
        rows = hot[:, number]
        yield ClassChange(
            names[number], int(rows.sum()), *(float(hits[rows, number].mean()) for hits in predicted)
        )


def _cost_of(run: Run) -> RunCost:
    folders = sorted(run.folder.glob("fold-*/log.jsonl"))
    lines = [line for file in folders for line in epochs_of(run, int(file.parent.name.partition("-")[2]))]
    if not lines:
        return RunCost(None, None)
    known = [line["seconds"] for line in lines if "seconds" in line]
    whole = float(sum(known)) if len(known) == len(lines) else None
    return RunCost(whole, float(np.median([line["images_per_second"] for line in lines])))
