"""The rows that a fold's model never saw: their batches, its predictions of them, and whether these are finite."""

from __future__ import annotations

import numpy as np
from torch import nn

from kit.core.progress import Work
from kit.data.predictions import Predictions
from kit.engine.batches import LoaderProcesses, PlainBatches
from kit.engine.learner import Learner
from kit.errors import MAX_CASES, Case, RunError
from kit.experiment.prediction_file import prediction_batches
from kit.experiment.run_context import RunContext
from kit.model.non_finite import find_non_finite
from kit.model.predict import Predictor, for_predicting, predict_all


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
