"""Fitting: a learner memorises one batch at the config's rate, or at the first rate at which it can."""

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
from kit.engine.step import updating
from kit.stages.checks.one_batch.loss_floor import Bottom
from kit.stages.checks.one_batch.probe_batch import Ground

STEPS = 80  # at one rate: 8 images take a network 10 to 40 at a rate that suits it
SECONDS = 8.0  # of one fit, whatever the network's size
KNOWN = 0.9  # share of the way to the least loss from which on a batch is known by heart
HALF = 0.5  # share of that way that says of a rate that the network learns at it
FASTER = 1.5  # times the rate of the step before, while a rate is sought
HIGHEST = 10.0  # rate at which the search ends: no optimizer learns there
SLOWER = (0.1, 0.01, 0.001)
TRIED = 20  # steps at each lower rate


@dataclass(frozen=True, eq=False)
class Fitted:
    """A learner after some steps over the batch: the loss before each, and which rows it tells right at last."""

    learner: Learner
    before: dict[str, Tensor]  # the weights before the first step
    losses: tuple[float, ...]
    right: Tensor  # (N,) bool
    known: bool
    factor: float  # times the peak rate, of every step

    @property
    def last(self) -> float:
        """The loss before the last step."""
        return self.losses[-1]


def peak(ground: Ground) -> float:
    """The highest factor that the schedule gives the rates in the stage."""
    before = sum(stage.steps for stage in ground.stages[: ground.at])
    return max(list(fit.factors(ground.stages))[before : before + ground.stage.steps])


def travel(ground: Ground) -> float:
    """How far the rates of a whole fold carry the weights, in steps at the full rate."""
    return sum(fit.factors(ground.stages))


def fitted(ground: Ground, found: Bottom, factor: float, steps: int = STEPS) -> Fitted:
    """Steps at one rate until the batch is known by heart, the steps are done, or the time is."""
    learner = ground.learner()
    before = {name: weight.detach().clone() for name, weight in learner.network.named_parameters()}
    losses: list[float] = []
    known, end = False, time.monotonic() + SECONDS
    for loss in _steps(ground, learner, (factor for _ in range(steps))):
        losses.append(loss)
        if not math.isfinite(loss):
            break
        if found.reached(loss) >= KNOWN:
            known = bool(ground.right(ground.outputs(learner)).all())
        if known or (time.monotonic() > end and len(losses) > 1):
            break
    right = ground.right(ground.outputs(learner))
    return Fitted(learner, before, tuple(losses), right, known, factor)


def first_rate(ground: Ground, found: Bottom, factor: float) -> float | None:
    """How far the weights must move, in steps at the peak rate, until half the loss is gone, while rates rise.

    None where no rate does it.
    """
    learner = ground.learner()
    highest, moved, end = HIGHEST / max(*learner.peaks, 1e-30), 0.0, time.monotonic() + SECONDS
    rates = []
    while factor <= highest:
        rates.append(factor)
        factor *= FASTER
    for rate, loss in zip(rates, _steps(ground, learner, iter(rates)), strict=False):
        if found.reached(loss) >= HALF:
            return moved
        moved += rate
        if not math.isfinite(loss) or time.monotonic() > end:
            return None
    return None


def lower_rate(ground: Ground, found: Bottom, factor: float) -> float | None:
    """The first of the lower rates at which half the loss goes, as a factor of the peak; None where none does."""
    end = time.monotonic() + SECONDS
    for slower in SLOWER:
        if time.monotonic() > end:
            break
        tried = fitted(ground, found, factor * slower, TRIED)
        if found.reached(min(tried.losses)) >= HALF and math.isfinite(tried.last):
            return factor * slower
    return None


def _steps(ground: Ground, learner: Learner, factors: Iterator[float]) -> Iterator[float]:
    """A step over the batch at each factor of the peak rates; gives the loss before it."""
    for factor in factors:
        fit.set_rate(learner, factor)
        yield one_step(ground, learner)


def one_step(ground: Ground, learner: Learner) -> float:
    """One optimizer step over the batch at the rates that are set; its loss."""
    value, _ = finish(
        updating(learner, ground.loss, ground.batch, ground.plan, ground.setting.precision, 0.0)
    )
    learner.step += 1
    return float(torch.as_tensor(value))
