"""fold: one fold of a run, fitted from its newest checkpoint on, and the predictions of the rows it never saw."""

from __future__ import annotations

import math
import platform
import time
from collections.abc import Mapping
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

from kit.core.files import remove_partial_files
from kit.core.progress import Progress, ResultOf, Work
from kit.core.stopping import Stop
from kit.data.predictions import Predictions
from kit.device import allocator, memory, ranks
from kit.device.compiling import COST, compile_training
from kit.device.precision import Precision
from kit.engine import fit
from kit.engine.fit import NotFiniteError
from kit.engine.learner import Learner
from kit.engine.out_of_memory import OutOfMemory
from kit.engine.step import OptimizerShortError, SkippedStep
from kit.errors import Case, RunError, StoppedError
from kit.experiment.batch_size import limit_micro_batch
from kit.experiment.run_context import RunContext, new_learner, plan_of, prediction_batches, train_stages
from kit.experiment.warm_start import load_initial_weights
from kit.kinds.advice import calmer
from kit.model import checkpoints
from kit.model.bn_fusion import for_predicting
from kit.model.predict import Predictor, predict_all
from kit.runs.epoch_log import EpochLog
from kit.runs.run import versions
from kit.runs.scoring import scores

SHOW_EVERY = 0.2  # seconds between two moves of the progress bar


def run_fold(setting: RunContext, fold: int, position: int, of: int, stop: Stop) -> Work[None]:
    """Fits one fold from its newest checkpoint on, and writes its out-of-fold predictions."""
    folder = setting.run.fold(fold)
    if ranks.on_rank_zero(setting.run.fold_predictions_file(fold).is_file):
        return
    ranks.on_rank_zero(lambda: _clean_up(folder))
    with allocator.retain_freed_memory(setting.device):
        learner, held_out = yield from _fit(setting, fold, position / of, 1 / of, stop)
        if held_out is None:  # the last checkpoint was there, its predictions were not
            held_out = yield from _validate(setting, fold, learner, position / of)
    tag = checkpoints.tag(checkpoints.place(folder, learner.epoch))
    about = {"run": setting.run.name, "fold": fold, "rows": "oof", "checkpoints": {str(fold): tag}}
    whole = replace(held_out, metadata=about)
    ranks.on_rank_zero(lambda: whole.write(setting.run.fold_predictions_file(fold)))


def _clean_up(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    remove_partial_files(folder)


def _fit(
    setting: RunContext, fold: int, start: float, share: float, stop: Stop
) -> Work[tuple[Learner, Predictions | None]]:
    """The learner at its end, and the held-out predictions of its last epoch, where that was not done already.

    Where memory runs out while the weights move, which spoils them, it begins once more from the last checkpoint.
    """
    learner = _newest(setting, fold)
    own = -(-setting.experiment.batch_rows() // ranks.world_size())
    images = min(setting.experiment.micro_batch_rows(), own)
    told = limit_micro_batch(
        learner, setting.techniques, setting.experiment, setting.loaded.table, setting.precision, images
    )
    if told:
        yield Progress("train", start, 1, f"fold {fold}: {told}", line=True)
    try:
        return learner, (yield from _train_epochs(setting, fold, learner, start, share, stop))
    except NotFiniteError as error:
        raise _with_row_ids(setting, fold, error) from None
    except OptimizerShortError as error:
        if ranks.world_size() > 1:  # the others have moved their weights already
            raise
        short = str(error).splitlines()[0]
    del learner  # outside of the except block, whose traceback holds its tensors
    memory.empty_cache(setting.device)
    learner = _newest(setting, fold)
    learner.disable_foreach()
    at = (
        f"the checkpoint of epoch {learner.epoch}, step {learner.steps_in_epoch}"
        if learner.step
        else "the start"
    )
    yield Progress("train", start, 1, f"{short}; going on from {at}, a tensor at a time", line=True)
    return learner, (yield from _train_epochs(setting, fold, learner, start, share, stop))


def _newest(setting: RunContext, fold: int) -> Learner:
    """A fold's learner as its newest checkpoint has it, or before its first step."""
    learner, found = new_learner(setting, fold), checkpoints.latest(setting.run.fold(fold))
    start = setting.initial_checkpoint(fold)
    if found is not None:
        learner.load(found.state(), found.weights, found.average)
        if ranks.is_rank_zero():  # a killed process may not have come to it
            checkpoints.remove_old(found.path.parent, learner.epoch, learner.steps_in_epoch)
    elif start is not None:
        load_initial_weights(learner, start)
    ranks.check_same_start("checkpoint", learner.epoch, learner.steps_in_epoch)
    return learner


def _with_row_ids(setting: RunContext, fold: int, error: NotFiniteError) -> RunError:
    """The same error with the ids of the last step's rows, and where to go on from."""
    ids = setting.ids[error.last.rows.numpy()]
    newest = checkpoints.newest(setting.run.fold(fold))
    kept = f"the last good checkpoint is {newest}" if newest else "no checkpoint was made before"
    cases = [Case("in the last of these steps", id=str(row)) for row in ids]
    hint = calmer(setting.experiment.clip_grad_norm, setting.precision.train)
    hint += f"; --from runs/{setting.run.name} begins with what is kept" if newest else ""
    return RunError(f"fold {fold}: {error.summary}; {kept}", code=error.code, cases=cases, hint=hint)


def _train_epochs(
    setting: RunContext, fold: int, learner: Learner, start: float, share: float, stop: Stop
) -> Work[Predictions | None]:
    """The epochs that are left of a fold, which is `share` of the command's work and begins at `start`.

    Returns the held-out predictions of the last epoch, or None where no epoch was left.
    """
    experiment, folder = setting.experiment, setting.run.fold(fold)
    plan, stages = plan_of(setting, fold), train_stages(setting, fold)
    if experiment.compile and learner.epoch < experiment.epochs:
        compile_training(learner.network)
        yield Progress("train", start, 1, f"fold {fold}: compiling takes {COST}", line=True)
    log = EpochLog.read(folder / "log.jsonl", learner.epoch)
    events = fit.fit(learner, stages, plan, setting.precision)
    shown, done, held_out = 0.0, start, None
    place = f"fold {fold} ({round(start / share) + 1} of {round(1 / share)})"
    begun, rows = time.monotonic(), 0
    with ExitStack() as stack:
        stack.enter_context(stop.at_step_boundary())
        for stage in stages:
            stack.enter_context(closing(stage.batches))
        tracking = stack.enter_context(setting.trackers.of_fold(setting, fold, learner))
        for event in events:
            if isinstance(event, OutOfMemory | SkippedStep):
                left_out = ": R01, the step is left out" if isinstance(event, SkippedStep) else ""
                yield Progress("train", done, 1, f"fold {fold}: {event}{left_out}", line=True)
                continue
            if isinstance(event, fit.StepEvent):
                tracking.step(event)
                _save_within(setting, fold, learner, ranks.all_reduce_max(stop.requested))
                rows += event.rows
                if time.monotonic() - shown > SHOW_EVERY:
                    shown = time.monotonic()
                    done = start + share * event.number / event.of
                    now = _so_far(log, learner, rows / (shown - begun))
                    yield Progress(
                        "train", done, 1, f"{place} epoch {event.epoch + 1}/{experiment.epochs}: {now}"
                    )
                continue
            found, done = {}, start + share * event.number / experiment.epochs
            where = f"fold {fold} epoch {event.number}/{experiment.epochs}"
            if event.number == experiment.epochs or event.number % experiment.validate_every == 0:
                yield Progress("train", done, 1, f"{where}, validating")
                held_out = yield from _validate(setting, fold, learner, done)
                found = scores(setting.metric, held_out, setting.loaded.table)
            seconds = time.monotonic() - begun
            line = log.add(event, learner.step, found, seconds, memory.peak_bytes(setting.device))
            ranks.on_rank_zero(log.write)
            begun, rows = time.monotonic(), 0
            tracking.log(learner.step, log.lines[-1])
            asked = ranks.all_reduce_max(
                stop.requested
            )  # a signal that comes after this waits for the next step
            if event.number == experiment.epochs or event.number % experiment.save_every == 0 or asked:
                _save(setting, fold, learner)
            yield Progress("train", done, 1, f"{where}: {line}", line=True)
            if asked and event.number < experiment.epochs:
                where = f"fold {fold} epoch {event.number}"
                raise ranks.raise_on_all_ranks(StoppedError(f"stopped after {where}, saved", asked))
    return held_out


def _so_far(log: EpochLog, learner: Learner, speed: float) -> str:
    """The epoch that is under way: its loss, the scores of the one before, images a second, memory."""
    total, rows = (math.nan, 1) if learner.loss_sum is None else learner.loss_sum.tolist()
    return log.so_far(
        total / max(rows, 1), speed, memory.format_mebibytes(memory.device_memory(learner.device).taken)
    )


def _validate(setting: RunContext, fold: int, learner: Learner, done: float) -> Work[Predictions]:
    """The held-out predictions, of whose progress only what is worth a line is told."""
    work = ResultOf(predict_held_out(setting, fold, learner.predictor))
    for step in work:
        if step.line:
            yield Progress("train", done, 1, f"fold {fold}: {step.detail}", line=True)
    return work.result


def predict_held_out(setting: RunContext, fold: int, predictor: nn.Module) -> Work[Predictions]:
    """A fold's predictions of the rows it never saw: each rank predicts whole batches, and all get all of them.

    There are none where all rows train.
    """
    table, rows = setting.loaded.table, setting.oof_rows(fold)
    if not len(rows):
        nothing, folds = np.zeros((0, len(table.classes)), np.float32), np.zeros(0, np.int64)
        return Predictions(table.ids[rows], folds, table.classes, nothing, multi_label=table.is_multi_label)
    mine = ranks.shard_batches(rows, setting.experiment.batch_rows())
    batches = prediction_batches(setting.loaded, setting.experiment, mine)
    loss, several = setting.techniques.parts.loss, table.is_multi_label
    shown = for_predicting(predictor, setting.precision, setting.experiment.image_size)
    model = Predictor(shown, loss, setting.precision, several)
    try:
        (own,) = yield from predict_all(
            [model], batches, [lambda images: images], "mean", len(mine), "validate"
        )
    finally:
        batches.close()
    found = np.concatenate([part for part in ranks.all_gather(own) if len(part)])
    return Predictions(table.ids[rows], np.full(len(rows), fold), table.classes, found, multi_label=several)


def _save(setting: RunContext, fold: int, learner: Learner) -> None:
    average = None if learner.average_network is None else learner.average_network.state_dict()
    weights, state = learner.network.state_dict(), learner.state()
    ranks.on_rank_zero(
        lambda: save_checkpoint(
            setting, fold, learner.epoch, weights, average, state, step=learner.steps_in_epoch
        )
    )


def _save_within(setting: RunContext, fold: int, learner: Learner, asked: int) -> None:
    """Saves within an epoch where it is time to, or to stop. Raises StoppedError then."""
    every = setting.experiment.save_every_steps
    if asked or (every and learner.step % every == 0):
        _save(setting, fold, learner)
    if asked:
        where = f"fold {fold} epoch {learner.epoch + 1}, step {learner.steps_in_epoch}"
        raise ranks.raise_on_all_ranks(StoppedError(f"stopped after {where}, saved", asked))


def save_checkpoint(
    setting: RunContext, fold: int, number: int, weights: Mapping[str, Tensor], average: Mapping[str, Tensor] | None,
    state: Mapping[str, Any], more: Mapping[str, Any] | None = None, step: int = 0,
) -> Path:  # fmt: skip
    """Writes a checkpoint of a fold, with all that is needed to predict with it; `more` is told beside that."""
    table = setting.loaded.table
    about = {
        "run": setting.run.name,
        "fold": fold,
        "classes": list(table.classes),
        "class_counts": table.counts().tolist(),
        "class_groups": list(table.class_groups),
        "class_factors": [list(values) for values in table.class_factors],
        "total": len(table),
        "multi_label": table.is_multi_label,
        "config": setting.resolve_config(),
        "asked": Precision.of(setting.workspace.experiment.model_dump()).config(),  # with its `auto`
        "normalisation": setting.techniques.parts.backbone.normalisation(),
        "folds": setting.folds.fingerprint(),
        "versions": versions(),
        "machine": {"host": platform.node(), "device": str(setting.device)},
        **(more or {}),
    }
    return checkpoints.save(setting.run.fold(fold), number, weights, average, state, about, step)
