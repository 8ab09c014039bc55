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

from kit.core.files import remove_stumps
from kit.core.progress import Outcome, Progress, Work
from kit.core.stopping import Stop
from kit.data.predictions import Predictions
from kit.device import allocator, memory, ranks
from kit.device.compiling import COST, compile_training
from kit.device.precision import Precision
from kit.engine import fit
from kit.engine.fit import NotFiniteError
from kit.engine.learner import Learner
from kit.engine.out_of_memory import OutOfMemory
from kit.engine.step import OptimizerShortError, Skipped
from kit.errors import Case, RunError, StoppedError
from kit.experiment.batch_size import spared
from kit.experiment.run_context import Setting, new_learner, plain_batches, plan_of, train_stages
from kit.experiment.warm_start import begin_with
from kit.kinds.advice import calmer
from kit.model import checkpoints
from kit.model.bn_fusion import for_predicting
from kit.model.predict import Predictor, predicting
from kit.runs.epoch_log import EpochLog
from kit.runs.run import versions
from kit.runs.scoring import scores

SHOW_EVERY = 0.2  # seconds between two moves of the progress bar


def training_fold(setting: Setting, fold: int, position: int, of: int, stop: Stop) -> Work[None]:
    """Fits one fold from its newest checkpoint on, and writes its out-of-fold predictions."""
    folder = setting.run.fold(fold)
    if ranks.by_first(setting.run.part(fold).is_file):
        return
    ranks.by_first(lambda: _tidied(folder))
    with allocator.kept(setting.device):
        learner, held_out = yield from _fitted(setting, fold, position / of, 1 / of, stop)
        if held_out is None:  # the last checkpoint was there, its predictions were not
            held_out = yield from _validated(setting, fold, learner, position / of)
    tag = checkpoints.tag(checkpoints.place(folder, learner.epoch))
    about = {"run": setting.run.name, "fold": fold, "rows": "oof", "checkpoints": {str(fold): tag}}
    whole = replace(held_out, about=about)
    ranks.by_first(lambda: whole.write(setting.run.part(fold)))


def _tidied(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    remove_stumps(folder)


def _fitted(
    setting: Setting, fold: int, start: float, share: float, stop: Stop
) -> Work[tuple[Learner, Predictions | None]]:
    """The learner at its end, and the held-out predictions of its last epoch, where that was not done already.

    Where memory runs out while the weights move, which spoils them, it begins once more from the last checkpoint.
    """
    learner = _newest(setting, fold)
    own = -(-setting.experiment.rows_of_a_step() // ranks.count())
    images = min(setting.experiment.images_at_a_time(), own)
    told = spared(
        learner, setting.techniques, setting.experiment, setting.loaded.table, setting.precision, images
    )
    if told:
        yield Progress("train", start, 1, f"fold {fold}: {told}", line=True)
    try:
        return learner, (yield from _epochs(setting, fold, learner, start, share, stop))
    except NotFiniteError as error:
        raise _told(setting, fold, error) from None
    except OptimizerShortError as error:
        if ranks.count() > 1:  # the others have moved their weights already
            raise
        short = str(error).splitlines()[0]
    del learner  # outside of the except block, whose traceback holds its tensors
    memory.release(setting.device)
    learner = _newest(setting, fold)
    learner.spare()
    at = f"the checkpoint of epoch {learner.epoch}, step {learner.begun}" if learner.step else "the start"
    yield Progress("train", start, 1, f"{short}; going on from {at}, a tensor at a time", line=True)
    return learner, (yield from _epochs(setting, fold, learner, start, share, stop))


def _newest(setting: Setting, fold: int) -> Learner:
    """A fold's learner as its newest checkpoint has it, or before its first step."""
    learner, found = new_learner(setting, fold), checkpoints.latest(setting.run.fold(fold))
    start = setting.start_of(fold)
    if found is not None:
        learner.load(found.state(), found.weights, found.average)
        if ranks.is_first():  # a killed process may not have come to it
            checkpoints.prune(found.path.parent, learner.epoch, learner.begun)
    elif start is not None:
        begin_with(learner, start)
    ranks.check_same("checkpoint", learner.epoch, learner.begun)
    return learner


def _told(setting: Setting, fold: int, error: NotFiniteError) -> RunError:
    """The same error with the ids of the last step's rows, and where to go on from."""
    ids = setting.ids[error.last.rows.numpy()]
    newest = checkpoints.newest(setting.run.fold(fold))
    kept = f"the last good checkpoint is {newest}" if newest else "no checkpoint was made before"
    cases = [Case("in the last of these steps", id=str(row)) for row in ids]
    hint = calmer(setting.experiment.clip_grad_norm, setting.precision.train)
    hint += f"; --from runs/{setting.run.name} begins with what is kept" if newest else ""
    return RunError(f"fold {fold}: {error.summary}; {kept}", code=error.code, cases=cases, hint=hint)


def _epochs(
    setting: Setting, fold: int, learner: Learner, start: float, share: float, stop: Stop
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
        stack.enter_context(stop.after_a_step())
        for stage in stages:
            stack.enter_context(closing(stage.batches))
        tracking = stack.enter_context(setting.trackers.of_fold(setting, fold, learner))
        for event in events:
            if isinstance(event, OutOfMemory | Skipped):
                left_out = ": R01, the step is left out" if isinstance(event, Skipped) else ""
                yield Progress("train", done, 1, f"fold {fold}: {event}{left_out}", line=True)
                continue
            if isinstance(event, fit.Step):
                tracking.step(event)
                _save_within(setting, fold, learner, ranks.agreed(stop.asked))
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
                held_out = yield from _validated(setting, fold, learner, done)
                found = scores(setting.metric, held_out, setting.loaded.table)
            seconds = time.monotonic() - begun
            line = log.add(event, learner.step, found, seconds, memory.peak(setting.device))
            ranks.by_first(log.write)
            begun, rows = time.monotonic(), 0
            tracking.log(learner.step, log.lines[-1])
            asked = ranks.agreed(stop.asked)  # a signal that comes after this waits for the next step
            if event.number == experiment.epochs or event.number % experiment.save_every == 0 or asked:
                _save(setting, fold, learner)
            yield Progress("train", done, 1, f"{where}: {line}", line=True)
            if asked and event.number < experiment.epochs:
                where = f"fold {fold} epoch {event.number}"
                raise ranks.everyones(StoppedError(f"stopped after {where}, saved", asked))
    return held_out


def _so_far(log: EpochLog, learner: Learner, speed: float) -> str:
    """The epoch that is under way: its loss, the scores of the one before, images a second, memory."""
    total, rows = (math.nan, 1) if learner.summed is None else learner.summed.tolist()
    return log.so_far(total / max(rows, 1), speed, memory.mebibytes(memory.room(learner.device).taken))


def _validated(setting: Setting, fold: int, learner: Learner, done: float) -> Work[Predictions]:
    """The held-out predictions, of whose progress only what is worth a line is told."""
    work = Outcome(predict_held_out(setting, fold, learner.predictor))
    for step in work:
        if step.line:
            yield Progress("train", done, 1, f"fold {fold}: {step.detail}", line=True)
    return work.result


def predict_held_out(setting: Setting, fold: int, predictor: nn.Module) -> Work[Predictions]:
    """A fold's predictions of the rows it never saw: each rank predicts whole batches, and all get all of them.

    There are none where all rows train.
    """
    table, rows = setting.loaded.table, setting.held_out_rows(fold)
    if not len(rows):
        nothing, folds = np.zeros((0, len(table.classes)), np.float32), np.zeros(0, np.int64)
        return Predictions(table.ids[rows], folds, table.classes, nothing, multi_label=table.is_multi_label)
    mine = ranks.share(rows, setting.experiment.rows_of_a_step())
    batches = plain_batches(setting.loaded, setting.experiment, mine)
    loss, several = setting.techniques.parts.loss, table.is_multi_label
    shown = for_predicting(predictor, setting.precision, setting.experiment.image_size)
    model = Predictor(shown, loss, setting.precision, several)
    try:
        (own,) = yield from predicting(
            [model], batches, [lambda images: images], "mean", len(mine), "validate"
        )
    finally:
        batches.close()
    found = np.concatenate([part for part in ranks.gathered(own) if len(part)])
    return Predictions(table.ids[rows], np.full(len(rows), fold), table.classes, found, multi_label=several)


def _save(setting: Setting, fold: int, learner: Learner) -> None:
    average = None if learner.averaged is None else learner.averaged.state_dict()
    weights, state = learner.network.state_dict(), learner.state()
    ranks.by_first(lambda: save(setting, fold, learner.epoch, weights, average, state, step=learner.begun))


def _save_within(setting: Setting, fold: int, learner: Learner, asked: int) -> None:
    """Saves within an epoch where it is time to, or to stop. Raises StoppedError then."""
    every = setting.experiment.save_every_steps
    if asked or (every and learner.step % every == 0):
        _save(setting, fold, learner)
    if asked:
        where = f"fold {fold} epoch {learner.epoch + 1}, step {learner.begun}"
        raise ranks.everyones(StoppedError(f"stopped after {where}, saved", asked))


def save(
    setting: Setting, fold: int, number: int, weights: Mapping[str, Tensor], average: Mapping[str, Tensor] | None,
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
        "config": setting.resolved(),
        "asked": Precision.of(setting.workspace.experiment.model_dump()).config(),  # with its `auto`
        "normalisation": setting.techniques.parts.backbone.normalisation(),
        "folds": setting.folds.fingerprint(),
        "versions": versions(),
        "machine": {"host": platform.node(), "device": str(setting.device)},
        **(more or {}),
    }
    return checkpoints.save(setting.run.fold(fold), number, weights, average, state, about, step)
