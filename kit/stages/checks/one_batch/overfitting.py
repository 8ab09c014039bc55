"""Overfitting: a learner overfits one batch at the config's rate, or at the first rate at which it can."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from kit.core.progress import finish
from kit.engine import fit
from kit.engine.learner import Learner
from kit.engine.step import optimizer_step
from kit.stages.checks.one_batch.loss_floor import LossFloor
from kit.stages.checks.one_batch.probe_batch import ProbeBatch

STEPS_PER_LR = 80  # at one rate: a network overfits 8 images in 10 to 40 steps at a suitable rate
SECONDS = 8.0  # maximum seconds of one fit, for any network
OVERFIT_PROGRESS = 0.9  # share of the way to the lowest loss from which a batch counts as overfitted
LEARNING_PROGRESS = 0.5  # share of the way from which a rate counts as one that the network learns at
LR_GROWTH = 1.5  # factor from one step's rate to the next, during the search
HIGHEST = 10.0  # rate at which the search ends, because no optimizer learns there
LOWER_LR_FACTORS = (0.1, 0.01, 0.001)
STEPS_PER_LOWER_LR = 20  # steps at each lower rate


@dataclass(frozen=True, eq=False)
class OverfitResult:
    """A learner after some steps over the batch: the loss before each, and the rows that it predicts
    correctly at the end.
    """

    learner: Learner
    before: dict[str, Tensor]  # the weights before the first step
    losses: tuple[float, ...]
    right: Tensor  # (N,) bool
    known: bool
    factor: float  # factor of the peak rate, of every step

    @property
    def last(self) -> float:
        """The loss before the last step."""
        return self.losses[-1]


def peak_lr_factor(probe: ProbeBatch) -> float:
    """Returns the highest factor of the rates by the schedule in the stage."""
    before = sum(stage.steps for stage in probe.stages[: probe.at])
    return max(list(fit.lr_factors(probe.stages))[before : before + probe.stage.steps])


def lr_integral(probe: ProbeBatch) -> float:
    """Returns the sum of the rates of a whole fold, in steps at the full rate."""
    return sum(fit.lr_factors(probe.stages))


def overfit(probe: ProbeBatch, floor: LossFloor, factor: float, steps: int = STEPS_PER_LR) -> OverfitResult:
    """Steps at one rate until the batch is overfitted, the steps are used up, or the time is over."""
    learner = probe.learner()
    before = {name: weight.detach().clone() for name, weight in learner.network.named_parameters()}
    losses: list[float] = []
    known, end = False, time.monotonic() + SECONDS
    for loss in _steps(probe, learner, (factor for _ in range(steps))):
        losses.append(loss)
        if not math.isfinite(loss):
            break
        if floor.progress_of(loss) >= OVERFIT_PROGRESS:
            known = bool(probe.is_correct(probe.outputs(learner)).all())
        if known or (time.monotonic() > end and len(losses) > 1):
            break
    right = probe.is_correct(probe.outputs(learner))
    return OverfitResult(learner, before, tuple(losses), right, known, factor)


def find_first_lr(probe: ProbeBatch, floor: LossFloor, factor: float) -> float | None:
    """Returns the number of steps at the peak learning rate until the loss is halved, measured while the rate
    increases.

    Returns None if no rate halves it.
    """
    learner = probe.learner()
    highest, moved, end = HIGHEST / max(*learner.peaks, 1e-30), 0.0, time.monotonic() + SECONDS
    rates = []
    while factor <= highest:
        rates.append(factor)
        factor *= LR_GROWTH
    for rate, loss in zip(rates, _steps(probe, learner, iter(rates)), strict=False):
        if floor.progress_of(loss) >= LEARNING_PROGRESS:
            return moved
        moved += rate
        if not math.isfinite(loss) or time.monotonic() > end:
            return None
    return None


def largest_lower_lr(probe: ProbeBatch, floor: LossFloor, factor: float) -> float | None:
    """Returns the first of the lower rates that halves the loss, as a factor of the peak; None if none does."""
    end = time.monotonic() + SECONDS
    for slower in LOWER_LR_FACTORS:
        if time.monotonic() > end:
            break
        slower_fit = overfit(probe, floor, factor * slower, STEPS_PER_LOWER_LR)
        if floor.progress_of(min(slower_fit.losses)) >= LEARNING_PROGRESS and math.isfinite(slower_fit.last):
            return factor * slower
    return None


def _steps(probe: ProbeBatch, learner: Learner, factors: Iterator[float]) -> Iterator[float]:
    """Steps over the batch at each factor of the peak rates, and yields the loss before each step."""
    for factor in factors:
        fit.set_lr(learner, factor)
        yield one_step(probe, learner)


def one_step(probe: ProbeBatch, learner: Learner) -> float:
    """Runs one optimizer step over the batch at the present rates, and returns its loss."""
    value, _ = finish(
        optimizer_step(learner, probe.loss, probe.batch, probe.plan, probe.setting.precision, 0.0)
    )
    learner.step += 1
    return float(torch.as_tensor(value))
