"""What a fold's training leaves: its checkpoints, and its predictions of the rows that it never saw."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

from kit.core.progress import Work
from kit.data.predictions import Predictions
from kit.data.provenance import CheckpointProvenance, Provenance
from kit.engine.batches import LoaderProcesses, PlainBatches
from kit.engine.learner import Learner
from kit.errors import MAX_CASES, Case, RunError
from kit.experiment.prediction_file import prediction_batches
from kit.experiment.run_context import RunContext
from kit.model import checkpoints
from kit.model.non_finite import find_non_finite
from kit.model.predict import Predictor, for_predicting, predict_all
from kit.runs.run import versions


def oof_batches(setting: RunContext, fold: int, processes: LoaderProcesses | None = None) -> PlainBatches:
    """This rank's batches of the rows that a fold's model predicts; `processes` load for others too."""
    mine = setting.ranks.shard_batches(setting.oof_rows(fold), setting.experiment.batch_rows())
    return prediction_batches(setting.loaded, setting.experiment, mine, setting.device, processes)


def predict_held_out(
    setting: RunContext, fold: int, predictor: nn.Module, batches: PlainBatches | None = None
) -> Work[Predictions]:
    """A fold's predictions of the rows it never saw: each rank predicts whole batches, and all get all of them.

    There are none where all rows train. `batches` are those of `oof_batches`, by default new ones.
    """
    table, rows = setting.loaded.table, setting.oof_rows(fold)
    if not len(rows):
        nothing, folds = np.zeros((0, len(table.classes)), np.float32), np.zeros(0, np.int64)
        return Predictions(table.ids[rows], folds, table.classes, nothing, target=table.target)
    batches = oof_batches(setting, fold) if batches is None else batches
    loss, target = setting.loss_of(fold, setting.techniques.parts.loss), table.target
    shown = for_predicting(predictor, setting.precision, setting.experiment.image_size)
    model = Predictor(shown, loss, setting.precision, target)
    try:
        (own,) = yield from predict_all(
            [model], batches, [lambda images: images], "mean", len(batches.rows), "validate"
        )
    finally:
        batches.close()
    found = np.concatenate([part for part in setting.ranks.all_gather(own) if len(part)])
    return Predictions(table.ids[rows], np.full(len(rows), fold), table.classes, found, target=target)


def check_finite(setting: RunContext, fold: int, learner: Learner, held_out: Predictions, label: str) -> None:
    """Raises RunError R20 for held-out predictions that are not finite: more epochs would not change them."""
    wrong = ~np.asarray(np.isfinite(held_out.probabilities).all(axis=1))
    if not wrong.any():
        return
    rows = setting.oof_rows(fold)[wrong][:MAX_CASES]
    batches = prediction_batches(setting.loaded, setting.experiment, rows)
    try:
        images = setting.precision.to_layout(next(iter(batches)).images, setting.device)
    finally:
        batches.close()
    loss = setting.loss_of(fold, setting.techniques.parts.loss)
    target = setting.loaded.table.target
    model = Predictor(learner.predictor, loss, setting.precision, target)
    cause = find_non_finite(model.network, lambda: model.probabilities(images))
    error = RunError(
        f"{label}: {wrong.sum()} of {len(wrong)} held-out predictions are not finite; {cause or 'the loss gives them'}",
        code="R20",
        cases=[
            Case("is predicted as NaN or infinite", id=str(setting.loaded.table.ids[row])) for row in rows
        ],
        hint="predict_precision=float32; another file for backbone.weights; a lower optimizer.lr",
    )
    raise setting.ranks.raise_everywhere(error)


def write_held_out(setting: RunContext, fold: int, held_out: Predictions, checkpoint: Path) -> None:
    """Writes a fold's out-of-fold predictions, which mark the fold as finished."""
    tags = {str(fold): checkpoints.tag(checkpoint)}
    provenance = Provenance(run=setting.run.name, fold=fold, rows="oof", checkpoints=tags)
    replace(held_out, provenance=provenance).write(setting.run.fold_predictions_file(fold))


def save_checkpoint(
    setting: RunContext,
    fold: int,
    number: int,
    weights: Mapping[str, Tensor],
    average: Mapping[str, Tensor] | None,
    state: Mapping[str, Any],
    soup: Sequence[str] = (),
    step: int = 0,
) -> Path:
    """Writes a checkpoint of a fold, with all that is needed to predict with it; `soup` names averaged runs."""
    table, known = setting.loaded.table, setting.classes_of(fold)
    provenance = CheckpointProvenance(
        run=setting.run.name,
        fold=fold,
        classes=table.classes,
        class_counts=tuple(table.counts().tolist()),
        class_groups=tuple(table.class_groups),
        class_factors=tuple(map(tuple, table.class_factors)),
        total=len(table),
        target=table.target,
        means=known.means,
        scales=known.scales,
        target_range=known.target_range,
        config=setting.resolve_config(),
        asked=setting.asked.config(),
        normalisation=setting.techniques.parts.backbone.normalisation(),
        folds=setting.folds.fingerprint(),
        versions=versions(),
        machine={"host": platform.node(), "device": str(setting.device)},
        soup=tuple(soup),
    )
    return checkpoints.save(setting.run.fold(fold), number, weights, average, state, provenance, step)
