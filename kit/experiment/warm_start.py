"""Warm start: folds start from the weights of another run's folds, which never saw the rows that they hold out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kit.config.workspace import Workspace
from kit.data.folds import Folds
from kit.engine.learner import Learner
from kit.errors import CheckpointError, ConfigError, DataError
from kit.model import checkpoints
from kit.model.weight_files import find_weights
from kit.runs.run import Run

if TYPE_CHECKING:
    from kit.data.table import Table


def initial_checkpoint(workspace: Workspace, path: str, folds: Folds, fold: int) -> Path:
    """Returns the checkpoint that a fold starts from: its own fold's newest of a run, the newest of a fold,
    or the named one.

    Raises ConfigError C25 if the path is not one of these or is another fold's. Raises DataError D61 if the
    other run's folds hold out other rows, because its weights would have seen the rows that they are scored
    on.
    """
    folder = workspace.path(path)
    match = re.fullmatch(r"(?P<run>.+?)(/fold-(?P<fold>\d+)(/(?P<name>[\d-]+))?)?", folder.as_posix())
    assert match is not None
    run, own = Run(Path(match["run"])), int(match["fold"] or fold)
    if not (run.folder / "folds.csv").is_file():
        raise ConfigError(
            f"init_from {path!r} is not a run", code="C25", hint="use runs/r, runs/r/fold-0 or a checkpoint"
        )
    if own != fold:
        raise ConfigError(
            f"init_from {path!r} is fold {own}, but fold {fold} will be trained",
            code="C25",
            hint=f"--folds {own}, or init_from={re.sub('/fold-.*', '', path)}, so that each fold starts "
            "from the same fold",
        )
    if run.folds().fingerprint() != folds.fingerprint():
        raise DataError(
            f"{path} was trained with other folds, so it has seen rows that this run holds out",
            code="D61",
            hint="use the same splitter, split_seed and rows; or backbone.weights if it was trained on "
            "other data",
        )
    newest = checkpoints.newest(run.fold(fold)) if match["name"] is None else folder
    if newest is None or not newest.is_dir():
        raise ConfigError(f"init_from {path!r} has no checkpoint of fold {fold}", code="C25")
    return newest


def check_unseen(
    workspace: Workspace, weights: Path, table: Table, folds: Folds, wanted: Sequence[int]
) -> None:
    """Raises DataError D61 if the initial weights of a backbone are those of a run that trained on held-out rows.

    The run may be in this workspace or elsewhere, such as an earlier notebook's output. A run with other classes has
    learned other labels, and may be used.
    """
    checkpoint = find_weights(weights)[0].parent
    run = Run(checkpoint.parent.parent)
    is_run = (checkpoint / checkpoints.MANIFEST).is_file() and (run.folder / "folds.csv").is_file()
    if not is_run:
        return
    trained_on = checkpoints.provenance_of(checkpoint)
    if trained_on.classes != tuple(table.classes):
        return
    theirs = run.folds()
    trained = set(theirs.ids[(theirs.numbers != trained_on.require_fold()).all(axis=1)])
    held_out = {row for fold in wanted for row in folds.ids[folds.oof_mask(fold)]}
    is_ours = run.folder.resolve().is_relative_to(workspace.root.resolve())
    run_text = f"runs/{run.name}" if is_ours else run.folder.resolve()
    if seen := trained & held_out:
        raise DataError(
            f"backbone.weights: {checkpoint} was trained on {len(seen)} rows that this run holds out",
            code="D61",
            hint=f"init_from={run_text}, which gives each fold the weights of the same fold",
        )


def load_initial_weights(learner: Learner, path: Path) -> None:
    """Loads a checkpoint's weights and their average into a learner that has not stepped yet.

    The optimizer, the schedule and the counts start from zero. Raises CheckpointError D53 if the network is
    another.
    """
    initial, wanted = checkpoints.load(path), learner.weights()
    wrong = sorted(
        key
        for key in {*wanted, *initial.weights}
        if key not in wanted or key not in initial.weights or wanted[key].shape != initial.weights[key].shape
    )
    if wrong:
        raise CheckpointError(
            f"{path} does not match the network: {len(wrong)} weights differ",
            code="D53",
            cases=wrong,
            hint="init_from needs the same backbone, pooling and head",
        )
    learner.load_plain(initial.weights, initial.prediction_weights)
