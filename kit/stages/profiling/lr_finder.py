"""finder: the learning rate over a plan's steps, and the range test that finds its peak."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from kit.config.workspace import Workspace
from kit.core.files import StrPath
from kit.core.progress import Progress, Work, finish, stage
from kit.device.precision import Precision
from kit.engine import fit
from kit.engine.batches import Batch
from kit.engine.learner import Learner
from kit.engine.step import StepPlan, optimizer_step
from kit.experiment.fold_training import new_learner, plan_of, train_stages
from kit.experiment.run_context import RunContext, prepare_run, scratch_run
from kit.model.network import freeze

EMA_DECAY = 0.9  # of the losses' moving average: it lags ten steps; fastai's .98 lags fifty
STOP_FACTOR = 4.0  # factor of the lowest smoothed loss at which the test ends


@dataclass(frozen=True)
class LrCurve:
    """The highest learning rate of the network's parts at each step of a fold, and the stages' steps per epoch."""

    rates: tuple[float, ...]
    epochs: tuple[int, ...]  # of each stage
    steps: tuple[int, ...]  # per epoch, of each stage

    def epoch_of(self, step: int) -> float:
        """Returns the position of a step on the axis of epochs."""
        done = 0.0
        for epochs, steps in zip(self.epochs, self.steps, strict=True):
            if step <= epochs * steps:
                return done + step / steps
            done, step = done + epochs, step - epochs * steps
        return done


@dataclass(frozen=True)
class LrPoint:
    """One step of a range test: its learning rate, its loss, and the losses' moving average."""

    lr: float
    loss: float
    smoothed: float


@dataclass(frozen=True)
class LrRangeTest:
    """A range test's trials, and their suggestions."""

    trials: tuple[LrPoint, ...]
    steepest: float  # the rate at which the smoothed loss falls fastest
    tenth: float  # a tenth of the rate of the lowest smoothed loss


@stage
def compute_lr_schedule(workspace: Workspace | StrPath, fold: int = 0) -> Work[LrCurve]:
    """Returns the learning rates of a fold's training. Raises what preparing a run raises."""
    workspace = Workspace.of(workspace)
    setting = yield from prepare_run(workspace, scratch_run(workspace))
    new, stages = new_learner(setting, fold), train_stages(setting, fold)
    peak = max(new.peaks)
    return LrCurve(
        tuple(peak * factor for factor in fit.lr_factors(stages)),
        tuple(stage.epochs for stage in stages),
        tuple(stage.batches.steps for stage in stages),
    )


@stage
def run_lr_range_test(
    workspace: Workspace | StrPath,
    lowest: float = 1e-6,
    highest: float = 1.0,
    steps: int = 120,
    fold: int = 0,
) -> Work[LrRangeTest]:
    """Trains a network for `steps` steps while the rate increases from lowest to highest, and discards it.

    Raises what preparing a run raises.

    Source: Smith 2017, "Cyclical Learning Rates for Training Neural Networks", section 3.3; the end and
    both suggestions as in fastai's lr_find.
    """
    workspace = Workspace.of(workspace)
    setting = yield from prepare_run(workspace, scratch_run(workspace))
    trials = []
    for trial in _trials(setting, fold, lowest, highest, steps):
        trials.append(trial)
        yield Progress("find", len(trials), steps, f"lr {trial.lr:.2g}, loss {trial.smoothed:.3f}")
    return LrRangeTest(tuple(trials), *suggest_lr(trials))


def _trials(setting: RunContext, fold: int, lowest: float, highest: float, steps: int) -> Iterator[LrPoint]:
    new, stage = new_learner(setting, fold), train_stages(setting, fold)[0]
    new.average = None
    try:
        yield from range_test(new, stage, plan_of(setting, fold), setting.precision, lowest, highest, steps)
    finally:
        stage.batches.close()


def range_test(
    learner: Learner,
    stage: fit.FitStage,
    plan: StepPlan,
    precision: Precision,
    lowest: float,
    highest: float,
    steps: int,
) -> Iterator[LrPoint]:
    """Steps at rates that increase by equal factors, until they are done or the smoothed loss is far above
    its lowest.
    """
    freeze(learner.network, stage.frozen)
    mean, best, peak = 0.0, math.inf, max(learner.peaks)
    for number, batch in enumerate(_endless(stage.batches)):
        if number == steps:
            return
        lr = lowest * (highest / lowest) ** (number / max(steps - 1, 1))
        fit.set_lr(learner, lr / peak)
        value, _ = finish(optimizer_step(learner, stage.loss, batch, plan, precision, 0.0))
        loss = float(value)
        learner.step += 1
        mean = EMA_DECAY * mean + (1 - EMA_DECAY) * loss
        smoothed = mean / (1 - EMA_DECAY ** (number + 1))
        if not math.isfinite(loss) or smoothed > STOP_FACTOR * best:
            return
        best = min(best, smoothed)
        yield LrPoint(lr, loss, smoothed)


def _endless(batches: fit.Epochs) -> Iterator[Batch]:
    epoch = 0
    while True:
        yield from batches.epoch(epoch)
        epoch += 1


def suggest_lr(trials: Sequence[LrPoint]) -> tuple[float, float]:
    """Returns the rate at which the smoothed loss falls fastest over log(lr), and a tenth of that of its minimum.

    Returns NaN for fewer than three trials. Both ignore the first tenth of the trials, whose average is of
    few losses.
    """
    later = list(trials)[len(trials) // 10 :]
    if len(later) < 3:
        return math.nan, math.nan
    rates, losses = np.array([t.lr for t in later]), np.array([t.smoothed for t in later])
    slopes = np.gradient(losses, np.log(rates))
    return float(rates[int(slopes.argmin())]), float(rates[int(losses.argmin())]) / 10
