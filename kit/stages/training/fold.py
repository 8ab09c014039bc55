"""One fold of a run: fits it from its newest checkpoint on, stops in time, and predicts the rows it never saw."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any

from kit.core.files import remove_partial_files
from kit.core.progress import Progress, ResultOf, Work
from kit.core.stopping import SLOW_DISK_BYTES_PER_S, TIME_OVER_TEXT, Stop
from kit.data.predictions import Predictions
from kit.device import memory
from kit.device.compiling import COST, compile_training
from kit.device.ranks import Ranks
from kit.engine import fit
from kit.engine.batches import LoaderProcesses, PlainBatches
from kit.engine.fit import NotFiniteError
from kit.engine.learner import Learner
from kit.engine.out_of_memory import OutOfMemory
from kit.engine.step import OptimizerShortError, SkippedStep
from kit.errors import TIME_OVER, Case, RunError, StoppedError
from kit.evaluation.competition import scores
from kit.experiment.batch_size import limit_micro_batch
from kit.experiment.fold_training import new_learner, plan_of, train_stages
from kit.experiment.run_context import RunContext
from kit.experiment.tracking import Tracking
from kit.experiment.warm_start import load_initial_weights
from kit.kinds.advice import calmer
from kit.model import checkpoints
from kit.runs.epoch_log import EpochLog
from kit.runs.run import Run, lock_folder
from kit.stages.training.fold_results import (
    CheckpointWriter,
    check_finite,
    oof_batches,
    predict_held_out,
    save_checkpoint,
    write_held_out,
)

# bytes of state per byte of weights: the weights, their average and two moments of each
STATE_SIZE = 4
# factor of a validation's seconds, below which the epoch's last step is saved before it
VALIDATION_MARGIN = 3.0


@dataclass(eq=False)
class FoldDeadline:
    """The stop requests of a fold, including the deadline. All ranks get the same results."""

    stop: Stop
    ranks: Ranks
    step_end: float | None = None  # None: the next step is the first of this start

    def guess_save_time(self, weights: int) -> None:
        """Estimates the time of the first checkpoint, for `weights` bytes of weights."""
        if self.stop.deadline is not None and not self.stop.deadline.longest_save_s:
            self.stop.deadline.longest_save_s = STATE_SIZE * weights / SLOW_DISK_BYTES_PER_S

    def start_step(self) -> None:
        """Starts a step: earlier time does not count to it."""
        self.step_end = time.monotonic()

    def end_step(self) -> None:
        """Measures a step, except the first after a start: it warms up, and no earlier step can be lost."""
        now, deadline = time.monotonic(), self.stop.deadline
        if deadline is not None and self.step_end is not None:
            deadline.longest_step_s = max(deadline.longest_step_s, now - self.step_end)
        self.step_end = now

    def note_save_time(self, seconds: float) -> None:
        """Records how long a checkpoint took until it was written."""
        if self.stop.deadline is not None:
            self.stop.deadline.longest_save_s = max(self.stop.deadline.longest_save_s, seconds)

    @contextmanager
    def measure_validation(self) -> Iterator[None]:
        """Measures a block that predicts held-out rows."""
        began, deadline = time.monotonic(), self.stop.deadline
        yield
        if deadline is not None:
            took = time.monotonic() - began
            deadline.longest_validation_s = max(deadline.longest_validation_s, took)

    def validation_seconds(self, guess: float) -> float:
        """Returns the seconds of the longest validation; `guess` before the first one, 0 without a deadline."""
        return 0.0 if self.stop.deadline is None else self.stop.deadline.longest_validation_s or guess

    def requested(self, seconds: float = 0.0, is_writing: bool = False) -> int:
        """Returns the signal's number, or TIME_OVER if `seconds` of work do not fit before the deadline; 0 to continue.

        A checkpoint that is still being written comes before the last one.
        """
        number, deadline = self.stop.requested, self.stop.deadline
        if not number and deadline is not None:
            pending = deadline.longest_save_s if is_writing else 0.0
            number = TIME_OVER if deadline.is_due(seconds + pending) else 0
        return self.ranks.all_reduce_max(number)

    def saves_before(self, seconds: float) -> bool:
        """Whether to save before an epoch's end of `seconds`: it was never measured, or is close to the deadline."""
        deadline = self.stop.deadline
        if deadline is None:
            return False
        is_close = not deadline.longest_validation_s or deadline.is_due(VALIDATION_MARGIN * seconds)
        return self.ranks.all_reduce_max(int(is_close)) > 0


SHOW_EVERY_S = 0.2  # between two moves of the progress bar
# within which a worker whose command was killed finishes its step and leaves the fold
ORPHAN_WAIT_S = 60.0


@dataclass(frozen=True, eq=False)
class _FoldContext:
    """One fold of a run, and its position among the folds that a command trains."""

    setting: RunContext
    fold: int
    position: int
    count: int
    stop: Stop
    until: int | None = None  # epochs after which the fold pauses, saved; None: none

    @property
    def folder(self) -> Path:
        """The fold's folder."""
        return self.setting.run.fold(self.fold)

    def show(self, done: float, text: str, line: bool = False, regular: bool = False) -> Progress:
        """Returns the command's progress, if `done` of this fold is finished, from 0 to 1."""
        return Progress("train", (self.position + done) / self.count, 1, text, line, regular)

    def pauses_after(self, epoch: int) -> bool:
        """Whether no epoch is to be trained after so many."""
        return self.until is not None and epoch >= self.until


@contextmanager
def lock_fold(run: Run, fold: int) -> Iterator[None]:
    """Waits for a worker of an earlier, killed command that still trains the fold. Raises BusyError R08."""
    with lock_folder(run.fold(fold), ORPHAN_WAIT_S):
        yield


def run_fold(
    setting: RunContext, fold: int, position: int, count: int, stop: Stop, until: int | None = None
) -> Work[None]:
    """Fits one fold from its newest checkpoint on, and writes its out-of-fold predictions.

    With `until` it pauses after so many epochs: validated and saved, without predictions. A later call continues.
    """
    ranks = setting.ranks
    if ranks.on_rank_zero(setting.run.fold_predictions_file(fold).is_file):
        return
    context = _FoldContext(setting, fold, position, count, stop, until)
    ranks.on_rank_zero(partial(_clean_up, context.folder))
    with memory.retain_freed_memory(setting.device):
        learner, held_out = yield from _fit(context)
        if learner.epoch < setting.experiment.epochs:  # paused
            return
        if held_out is None:  # the last checkpoint exists, its predictions do not
            held_out = yield from _validate(context, learner, 0.0)
    checkpoint = checkpoints.place(context.folder, learner.epoch)
    ranks.on_rank_zero(partial(write_held_out, setting, fold, held_out, checkpoint))


def _clean_up(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    remove_partial_files(folder)


def _fit(context: _FoldContext) -> Work[tuple[Learner, Predictions | None]]:
    """Returns the trained learner and the held-out predictions of its last epoch, which are None if no epoch
    was left.

    If memory runs out while the weights are updated, they are invalid, and the fold resumes from its last
    checkpoint.
    """
    setting = context.setting
    learner = _restore_newest(context)
    rank_rows = -(-setting.experiment.batch_rows() // setting.ranks.count)
    images = min(setting.experiment.micro_batch_rows(), rank_rows)
    reduced = limit_micro_batch(
        learner, setting.techniques, setting.experiment, setting.loaded.table, setting.precision, images
    )
    if reduced:
        yield context.show(0, f"fold {context.fold}: {reduced}", line=True)
    try:
        return learner, (yield from _EpochLoop(context, learner).run())
    except NotFiniteError as error:
        raise _with_row_ids(context, error) from None
    except OptimizerShortError as error:
        if setting.ranks.count > 1:  # the others have moved their weights already
            raise
        short = str(error).splitlines()[0]
    del learner  # outside of the except block, whose traceback holds its tensors
    memory.empty_cache(setting.device)
    learner = _restore_newest(context)
    learner.disable_foreach()
    at = (
        f"the checkpoint of epoch {learner.epoch}, step {learner.steps_in_epoch}"
        if learner.step
        else "the start"
    )
    yield context.show(0, f"{short}; resuming from {at}, one tensor at a time", line=True)
    return learner, (yield from _EpochLoop(context, learner).run())


def _restore_newest(context: _FoldContext) -> Learner:
    """Returns a fold's learner from its newest checkpoint, or before its first step."""
    setting = context.setting
    learner, newest = new_learner(setting, context.fold), checkpoints.latest(context.folder)
    start = setting.initial_checkpoint(context.fold)
    if newest is not None:
        learner.load(newest.state(), newest.weights, newest.average)
        if setting.ranks.is_zero:  # an earlier process may have been killed before that
            checkpoints.remove_old(newest.path.parent, learner.epoch, learner.steps_in_epoch)
    elif start is not None:
        load_initial_weights(learner, start)
    setting.ranks.check_same("checkpoint", learner.epoch, learner.steps_in_epoch)
    return learner


def _with_row_ids(context: _FoldContext, error: NotFiniteError) -> RunError:
    """Returns the same error with the ids of the last step's rows, and the checkpoint to resume from."""
    setting = context.setting
    ids = setting.ids[error.last.rows.numpy()]
    newest = checkpoints.newest(context.folder)
    last_good = f"the last good checkpoint is {newest}" if newest else "no checkpoint exists yet"
    cases = [Case("in the last of these steps", id=str(row)) for row in ids]
    hint = calmer(setting.experiment.clip_grad_norm, setting.precision.train)
    hint += f"; --init-from runs/{setting.run.name} starts from the saved weights" if newest else ""
    text = f"fold {context.fold}: {error.summary}; {last_good}"
    return RunError(text, code=error.code, cases=cases, hint=hint)


class _EpochLoop:
    """The remaining epochs of a fold: handles each event of its fit."""

    def __init__(self, context: _FoldContext, learner: Learner) -> None:
        self.context, self.setting, self.learner = context, context.setting, learner
        self.epochs = context.setting.experiment.epochs
        self.log = EpochLog.read(context.folder / "log.jsonl", learner.epoch)
        self.held_out: Predictions | None = None  # of the last epoch that was validated
        self.done = 0.0  # of the fold
        self.shown_at = 0.0  # when the progress bar last moved
        self.epoch_start, self.rows = 0.0, 0
        self.deadline = FoldDeadline(context.stop, context.setting.ranks)
        self.writer = CheckpointWriter(context.setting.device)
        self.saved_at = time.monotonic()
        self.epoch_ends: list[int] = []  # the number of each epoch's last step
        self.oof_batches: PlainBatches | None = None
        self.tracking: Tracking | None = None  # if the experiment has trackers

    def run(self) -> Work[Predictions | None]:
        """Trains to the last epoch and returns its held-out predictions, or None if no epoch was left."""
        setting, fold = self.setting, self.context.fold
        if self.context.pauses_after(self.learner.epoch):
            return None
        processes = LoaderProcesses(setting.experiment.workers, setting.device)
        plan, stages = plan_of(setting, fold), train_stages(setting, fold, processes)
        self.oof_batches = oof_batches(setting, fold, processes)
        if setting.experiment.compile and self.learner.epoch < self.epochs:
            compile_training(self.learner.network)
            yield self.context.show(0, f"fold {fold}: compiling takes {COST}", line=True)
        self.epoch_ends = list(
            accumulate(stage.batches.steps for stage in stages for _ in range(stage.epochs))
        )
        self.deadline.guess_save_time(checkpoints.size(self.learner.network.state_dict()))
        with ExitStack() as stack:
            stack.enter_context(self.context.stop.at_step_boundary())
            stack.enter_context(closing(self.writer))
            stack.enter_context(closing(processes))
            for stage in stages:
                stack.enter_context(closing(stage.batches))
            if setting.trackers.recipes:
                self.tracking = stack.enter_context(setting.trackers.of_fold(setting, fold, self.learner))
            self.epoch_start = time.monotonic()
            for event in fit.fit(self.learner, stages, plan, setting.precision):
                match event:
                    case fit.StepEvent():
                        yield from self._after_step(event)
                    case fit.EpochEvent():
                        yield from self._after_epoch(event)
                        if self.context.pauses_after(event.number):
                            break
                    case OutOfMemory():
                        yield self._line(f"fold {fold}: {event}")
                    case SkippedStep():
                        yield self._line(f"fold {fold}: {event}: R01, step skipped")
            self._wait_for_writer()
        return self.held_out

    def _line(self, text: str) -> Progress:
        return self.context.show(self.done, text, line=True)

    def _after_step(self, event: fit.StepEvent) -> Iterator[Progress]:
        """Saves a checkpoint if it is due, and moves the progress bar. Raises StoppedError if a stop is requested."""
        if self.tracking is not None:
            self.tracking.step(event)
        self.deadline.end_step()
        ends_epoch = event.number == self.epoch_ends[event.epoch]
        seconds = self._seconds_of_epoch_end(event) if ends_epoch else 0.0
        if self.setting.ranks.count == 1:  # several ranks must receive it together, when they wait for it
            self.writer.raise_failure()
        self.deadline.note_save_time(self.writer.longest_s)
        signal = self.deadline.requested(seconds, self.writer.is_writing)
        saves_before = ends_epoch and self.deadline.saves_before(seconds)
        if signal or saves_before or self._saves_within_epoch():
            self._save(waits=bool(signal or saves_before))
            self.deadline.start_step()
        if signal:
            raise self._stop_error(
                f"epoch {self.learner.epoch + 1}, step {self.learner.steps_in_epoch}", signal
            )
        self.rows += event.rows
        now = time.monotonic()
        if now - self.shown_at > SHOW_EVERY_S:
            self.shown_at, self.done = now, event.number / event.of
            where = f"fold {self.context.fold} ({self.context.position + 1} of {self.context.count})"
            text = f"{where} epoch {event.epoch + 1}/{self.epochs}: {self._describe_epoch(now)}"
            yield self.context.show(self.done, text)

    def _saves_within_epoch(self) -> bool:
        """Whether the configured steps or minutes have passed. Ranks' clocks differ, so the first one decides."""
        steps = self.setting.experiment.save_every_steps
        minutes = self.setting.experiment.save_every_minutes
        if steps and self.learner.step % steps == 0:
            return True
        if minutes is None:
            return False
        return self.setting.ranks.all_reduce_max(int(time.monotonic() - self.saved_at >= 60 * minutes)) > 0

    def _save(self, waits: bool) -> None:
        """Has a checkpoint written while training continues, or waits until it is written."""
        self.setting.ranks.on_rank_zero(partial(_save, self.context, self.learner, self.writer))
        self.saved_at = time.monotonic()
        if waits:
            self._wait_for_writer()

    def _wait_for_writer(self) -> None:
        self.setting.ranks.on_rank_zero(self.writer.wait)
        self.deadline.note_save_time(self.writer.longest_s)

    def _validates(self, epoch: int) -> bool:
        """Whether the held-out rows are predicted after this many epochs."""
        ends = epoch in (self.epochs, self.context.until)
        return ends or epoch % self.setting.experiment.validate_every == 0

    def _seconds_of_epoch_end(self, event: fit.StepEvent) -> float:
        """Returns the seconds from an epoch's last step until the whole epoch can be saved, as measured or guessed."""
        training_s, seconds = time.monotonic() - self.epoch_start, 0.0
        if self._validates(event.epoch + 1):
            rows = self.rows + event.rows
            held_out = len(self.setting.oof_rows(self.context.fold)) / self.setting.ranks.count
            seconds = self.deadline.validation_seconds(training_s * held_out / rows)
        average = self.learner.average
        if event.epoch + 1 == self.epochs and average is not None and average.needs_bn_update():
            seconds += training_s
        return seconds

    def _describe_epoch(self, now: float) -> str:
        """Returns the present epoch: its loss, the scores of the previous epoch, images per second, memory."""
        learner = self.learner
        total, rows = (math.nan, 1) if learner.loss_sum is None else learner.loss_sum.tolist()
        memory_taken = memory.format_mebibytes(memory.device_memory(learner.device).taken)
        return self.log.so_far(total / max(rows, 1), self.rows / (now - self.epoch_start), memory_taken)

    def _after_epoch(self, event: fit.EpochEvent) -> Work[None]:
        """Validates, logs and saves as the config says.

        Raises StoppedError if a stop is requested before the last epoch.
        """
        setting, is_last = self.setting, event.number == self.epochs
        self.done = event.number / self.epochs
        label = f"fold {self.context.fold} epoch {event.number}/{self.epochs}"
        values: dict[str, float] = {}
        if self._validates(event.number):
            yield self.context.show(self.done, f"{label}, validating")
            self.held_out = yield from self._validate(label)
            check_finite(setting, self.context.fold, self.learner, self.held_out, label)
            values = scores(setting.scoring, self.held_out, setting.loaded.table)
        seconds, peak = time.monotonic() - self.epoch_start, memory.peak_bytes(setting.device)
        line = self.log.add(event, self.learner.step, values, seconds, peak)
        setting.ranks.on_rank_zero(self.log.write)
        self.epoch_start, self.rows = time.monotonic(), 0
        if self.tracking is not None:
            self.tracking.log(self.learner.step, self.log.lines[-1])
        # a signal that comes after this waits for the next step
        signal = self.deadline.requested(is_writing=self.writer.is_writing)
        pauses = self.context.pauses_after(event.number)
        if is_last or signal or pauses or event.number % setting.experiment.save_every == 0:
            self._save(waits=bool(signal or pauses))
        yield self.context.show(self.done, f"{label}: {line}", line=True, regular=True)
        if signal and not is_last:
            raise self._stop_error(f"epoch {event.number}", signal)
        self.deadline.start_step()

    def _validate(self, label: str) -> Work[Predictions]:
        """Returns the held-out predictions. The deadline ends them early if the epoch's last step is saved."""
        epoch = self.learner.epoch - 1
        steps = self.epoch_ends[epoch] - (self.epoch_ends[epoch - 1] if epoch else 0)
        is_saved = checkpoints.place(self.context.folder, epoch, steps).is_dir()
        text = f"{TIME_OVER_TEXT}: stopped while validating {label}, saved before"
        error = (lambda: StoppedError(text, TIME_OVER)) if is_saved else None
        with self.deadline.measure_validation():
            return (yield from _validate(self.context, self.learner, self.done, error, self.oof_batches))

    def _stop_error(self, after: str, signal: int) -> Exception:
        why = f"{TIME_OVER_TEXT}: " if signal == TIME_OVER else ""
        error = StoppedError(f"{why}stopped after fold {self.context.fold} {after}, saved", signal)
        return self.setting.ranks.raise_everywhere(error)


def _validate(
    context: _FoldContext,
    learner: Learner,
    done: float,
    error: Callable[[], StoppedError] | None = None,
    batches: PlainBatches | None = None,
) -> Work[Predictions]:
    """Returns the held-out predictions; only lines of their progress are shown. At the deadline they end in `error`."""
    predicting = predict_held_out(context.setting, context.fold, learner.predictor, batches)
    if error is not None and context.setting.ranks.count == 1:
        predicting = context.stop.cut(predicting, error)
    work = ResultOf(predicting)
    for step in work:
        if step.line:
            yield context.show(done, f"fold {context.fold}: {step.detail}", line=True)
    return work.result


def _save(context: _FoldContext, learner: Learner, writer: CheckpointWriter) -> None:
    epoch, step = learner.epoch, learner.steps_in_epoch

    def write(values: Any) -> None:
        weights, average, state = values
        save_checkpoint(context.setting, context.fold, epoch, weights, average, state, step=step)

    writer.save((learner.weights(), learner.average_weights(), learner.state()), write)
