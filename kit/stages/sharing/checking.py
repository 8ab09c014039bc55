"""checking: checks that a run of another workspace is complete, and fits the rows and classes of this one."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from kit.config.workspace import Workspace
from kit.data.folds import Folds
from kit.data.predictions import Predictions, ids_fingerprint
from kit.data.table import Table, table_of
from kit.errors import Case, CheckpointError, InvalidError
from kit.model import checkpoints
from kit.runs.run import SCHEMA, Run, provenance


def check_run(space: Workspace, run: Run, train: Table, test: Table) -> None:
    """Checks a run's schema, hashes, ids, folds and classes. If `test` has no rows, test ids are not compared.

    Raises CheckpointError D51 and D52, InvalidError D40, D41, D42 and D43, DataError D36.
    """
    manifest = run.manifest
    if int(manifest.get("schema", 0)) > SCHEMA:
        raise CheckpointError(
            f"{run.folder} has schema {manifest['schema']}, and this version of kit reads up to {SCHEMA}",
            code="D52",
            hint="update kit",
        )
    folds = run.folds()
    _check_ids(f"{run.folder} has", folds.ids.tolist(), train.ids.tolist(), "training rows")
    for path in sorted(run.folder.glob("fold-*/*/manifest.json")):
        checkpoints.check_checkpoint(path.parent)
    classes = table_of(run.folder, train, space.competition.data).classes
    for file in sorted(run.folder.rglob("*.parquet")):
        _check_predictions(file, folds, classes, test)


def _check_ids(what: str, ids: Iterable[str], wanted: Iterable[str], rows: str) -> None:
    more, less = sorted(set(ids) - set(wanted)), sorted(set(wanted) - set(ids))
    if more or less:
        cases = [Case(f"is not among the {rows} here", id=name) for name in more]
        cases += [Case("is missing", id=name) for name in less]
        raise InvalidError(
            f"{what} other {rows}: {len(more)} ids more, {len(less)} less",
            code="D41",
            cases=cases,
            hint="import into the workspace of the same competition, with the same tables",
        )


def _check_predictions(file: Path, folds: Folds, classes: tuple[str, ...], test: Table) -> None:
    predictions = Predictions.read(file)
    if predictions.classes != classes:
        raise InvalidError(
            f"{file} predicts other classes than this competition has",
            code="D42",
            cases=[f"{len(predictions.classes)} classes there, {len(classes)} here"],
            hint="use the same classes in the same order",
        )
    folds_fingerprint = predictions.provenance.folds
    if folds_fingerprint and folds_fingerprint != folds.fingerprint():
        raise InvalidError(
            f"{file} was predicted with other folds than the run's folds.csv",
            code="D43",
            hint="export it again",
        )
    if file.name.startswith("test"):
        is_whole = ".unfinished" not in file.name
        if len(test) and is_whole and ids_fingerprint(predictions.ids) != ids_fingerprint(test.ids):
            known = {*predictions.ids.tolist(), *_unread_images(predictions, test)}
            _check_ids(f"{file} has", known, test.ids.tolist(), "test rows")
    elif file.name.startswith("oof"):
        _check_held_out(file, predictions, folds)


def _unread_images(predictions: Predictions, test: Table) -> list[str]:
    """Returns test images without a prediction whose answer has another image, because kit leaves out
    unreadable ones.
    """
    if test.answers is None:
        return []
    there = np.isin(test.ids, predictions.ids)
    return [str(name) for name in test.ids[~there & np.isin(test.answers, test.answers[there])]]


def _check_held_out(file: Path, predictions: Predictions, folds: Folds) -> None:
    """Raises InvalidError D43 for a row that its model may have trained on."""
    row_of = {name: row for row, name in enumerate(folds.ids.tolist())}
    unknown = [name for name in predictions.ids.tolist() if name not in row_of]
    if unknown:
        raise InvalidError(
            f"{file} has {len(unknown)} ids that its folds.csv lacks", code="D41", cases=unknown
        )
    numbers = folds.numbers[[row_of[name] for name in predictions.ids.tolist()]]
    wrong = ~np.asarray((numbers == predictions.folds[:, None]).any(axis=1))
    if wrong.any():
        cases = [
            Case("is predicted by a fold that trained on it", id=str(name)) for name in predictions.ids[wrong]
        ]
        raise InvalidError(f"{file}: {int(wrong.sum())} rows are not held out", code="D43", cases=cases)


def rows_digest(space: Workspace, run: Run, train: Table) -> str:
    """Returns the digest of this table's rows, labels and groups, in the form of a run's manifest."""
    table = table_of(run.folder, train, space.competition.data)
    return str(provenance(table, run.folds(), "", [])["rows"])
