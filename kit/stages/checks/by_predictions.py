"""Loads the out-of-fold predictions of runs, for checks of labels by models that never saw the row."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from kit.config.models import Data
from kit.config.workspace import Workspace
from kit.data.predictions import Predictions, common_ids
from kit.data.table import Table, predictions_now
from kit.errors import Case, InvalidError, KitError
from kit.kinds import Metric
from kit.runs.records import RunRef, all_records
from kit.stages.blending.members import OutOfFold


def oof_predictions(workspace: Workspace, train: Table, refs: Sequence[str]) -> OutOfFold | None:
    """Returns the out-of-fold predictions of the requested runs (`runs/r`, `r@d4`), else of the best finished
    run that fits.

    Returns None if no run fits. Raises ConfigError C15 for a run that does not exist, InvalidError D41 and
    D42 for predictions that are missing or do not fit the table.
    """
    data = workspace.competition.data
    if refs:
        return _read(
            train, {text: RunRef.parse(text, workspace).predictions / "oof.parquet" for text in refs}, data
        )
    metric = Metric.open(workspace.competition.metric, workspace.root, "metric")
    name, sign = metric.plugin_name(), 1.0 if metric.higher_is_better else -1.0
    records = [
        run_record
        for run_record in all_records(workspace)
        if run_record.state == "finished" and name in run_record.scores
    ]
    for run_record in sorted(records, key=lambda run_record: -sign * run_record.scores[name]):
        with suppress(KitError):  # a run of other rows or classes has no information about these
            return _read(
                train,
                {f"runs/{run_record.run.name}": run_record.run.predictions("plain") / "oof.parquet"},
                data,
            )
    return None


def _read(train: Table, files: dict[str, Path], data: Data) -> OutOfFold:
    predictions = {
        name: predictions_now(file.parents[2], Predictions.read(file), train, data.label_from.rename)
        for name, file in files.items()
    }
    other = [
        Case(", ".join(member.classes[:9]), name)
        for name, member in predictions.items()
        if member.classes != train.classes
    ]
    if other:
        raise InvalidError(
            f"{len(other)} runs were trained for other classes than those of the table",
            code="D42",
            cases=other,
            hint="train again under another --name, or restore the tables",
        )
    ids = common_ids(list(predictions.values()))
    if not len(ids):
        raise InvalidError("no row has out-of-fold predictions of all these runs", code="D41")
    rows = train.take(train.index_of(ids))
    first = next(iter(predictions.values()))
    fold_of = dict(zip(first.ids.tolist(), first.folds.tolist(), strict=True))
    shares = np.stack([member.mean().align(ids, allow_extra=True) for member in predictions.values()])
    folds = np.array([fold_of[name] for name in ids.tolist()])
    return OutOfFold(tuple(predictions), ids, shares, folds, rows)
