"""fit: a generator that trains. It yields steps, epochs and skipped steps, and neither writes nor prints."""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor, nn

from kit.core import randomness
from kit.core.batching import even_batches
from kit.device.precision import Precision
from kit.device.ranks import ALONE, Ranks
from kit.device.torch_internals import AnyBatchNorm
from kit.engine.learner import Learner, float_tensors
from kit.engine.out_of_memory import OutOfMemory
from kit.engine.step import SkippedStep, StepPlan, optimizer_step
from kit.errors import RunError
from kit.kinds import Loss, Scheduler
from kit.model.network import freeze

if TYPE_CHECKING:
    from kit.engine.batches import Batch

CHECK_EVERY = 20  # steps between checks for finite values on a GPU, because each check waits for the device


class Epochs(Protocol):
    """Batches by epoch. The same number always gives the same batches."""

    steps: int

    def epoch(self, number: int, first_step: int = 0) -> Iterator[Batch]: ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class FitStage:
    """Epochs with equal settings; a fit is a list of them. A network's frozen parts are named as its modules are."""

    epochs: int
    batches: Epochs
    loss: Loss
    scheduler: Scheduler
    own_schedule: bool = False  # the schedule runs over this stage, instead of over the whole fit
    lr_scale: float = 1.0
    frozen: tuple[str, ...] = ()

    @property
    def steps(self) -> int:
        """Optimizer steps of the stage."""
        return self.epochs * self.batches.steps


@dataclass(frozen=True)
class StepEvent:
    """One optimizer step is done. `loss` is on the device; reading it waits for the step."""

    number: int
    of: int
    epoch: int
    lr: float
    loss: Tensor
    rows: int


@dataclass(frozen=True)
class EpochEvent:
    """One epoch is done, `number` of them in all. `rows` and `seconds` are this process's part of it.

    `loss` is the mean over the rows of the steps that were not skipped.
    """

    number: int
    loss: float
    lr: float
    rows: int
    seconds: float
    skipped: int = 0  # steps that were not finite
    overflowed: int = 0  # steps that float16's scaler skipped, which is not a fault: it has lowered its scale


Event = StepEvent | EpochEvent | OutOfMemory | SkippedStep


class NotFiniteError(RunError):
    """Too many consecutive steps were skipped; `last` is the last of them."""

    def __init__(self, last: SkippedStep) -> None:
        self.last = last
        steps = f", as were the {last.in_a_row - 1} steps before it" if last.in_a_row > 1 else ""
        super().__init__(
            f"{last}{steps}",
            code="R01",
            hint="use a lower optimizer.lr or another loss, under another --name",
        )


def lr_factors(stages: Sequence[FitStage]) -> Iterator[float]:
    """Yields the factor of the peak learning rate at each step of a fit.

    Step n of N has the progress n / (N + 1). So neither the first nor the last step has the rate at an end,
    which is 0 for most schedules.
    """
    total, begun = sum(stage.steps for stage in stages), 0
    for stage in stages:
        first, length = (begun, stage.steps) if stage.own_schedule else (0, total)
        for step in range(begun, begun + stage.steps):
            yield stage.lr_scale * stage.scheduler.factor((step + 1 - first) / (length + 1))
        begun += stage.steps


def fit(
    learner: Learner, stages: Sequence[FitStage], plan: StepPlan, precision: Precision
) -> Iterator[Event]:
    """Trains from the learner's state to the end of the last stage.

    Steps that are not finite do not change the weights. Raises NotFiniteError R01 after `plan.skips`
    consecutive ones. Raises RunError R02 if memory runs out with one image.
    """
    rates = list(lr_factors(stages))
    epochs, ended = sum(stage.epochs for stage in stages), 0
    for stage in stages:
        ended += stage.epochs
        while learner.epoch < ended:
            yield from _epoch(learner, stage, plan, precision, rates, epochs)
        stage.batches.close()


def _epoch(
    learner: Learner,
    stage: FitStage,
    plan: StepPlan,
    precision: Precision,
    rates: Sequence[float],
    epochs: int,
) -> Iterator[Event]:
    """Runs one epoch of a stage, and at the end of the fit updates batch norm's statistics of the averaged weights."""
    start, total, lr, rows = time.perf_counter(), len(rates), 0.0, 0
    freeze(learner.network, stage.frozen)
    looks = _FiniteChecker(learner, plan.skips)
    for batch in stage.batches.epoch(learner.epoch, learner.steps_in_epoch):
        lr = set_lr(learner, rates[learner.step])
        value, finite = yield from optimizer_step(
            learner, stage.loss, batch, plan, precision, learner.step / total
        )
        looks.add(batch, lr, value, finite)
        count = len(batch.step_rows)
        learner.step, learner.steps_in_epoch, rows = (
            learner.step + 1,
            learner.steps_in_epoch + 1,
            rows + count,
        )
        yield from looks.look(every=CHECK_EVERY)
        yield StepEvent(learner.step, total, learner.epoch, lr, value, count)
    yield from looks.look(every=1)
    if not rows:  # the epoch's last step was another process's
        lr = max(learner.peaks) * rates[learner.step - 1]
    mean = looks.mean()
    left_out, overflows = learner.skipped_in_epoch, int(learner.overflows)
    learner.skipped_in_epoch, learner.overflows = 0, 0
    learner.steps_in_epoch, learner.loss_sum = 0, None
    learner.epoch += 1
    if learner.average is not None:
        learner.average.after_epoch(learner.epoch / epochs)
        if learner.epoch == epochs and learner.average.needs_bn_update():
            update_batch_norm(
                learner.average.module,
                stage.batches,
                plan,
                precision,
                epochs,
                learner.ranks,
                learner.average.still_modules,
            )
    yield EpochEvent(learner.epoch, mean, lr, rows, time.perf_counter() - start, left_out, overflows)


class _FiniteChecker:
    """Finds the steps that were not finite, every few steps on a GPU, and at each on a CPU."""

    def __init__(self, learner: Learner, most: int) -> None:
        self.learner, self.most = learner, most
        self.last: SkippedStep | None = None
        self.waiting: list[tuple[SkippedStep, Tensor, Tensor]] = []

    def add(self, batch: Batch, lr: float, value: Tensor, finite: Tensor) -> None:
        """Adds the loss of a step's rows if it is finite. It is called before the step counts as done."""
        learner, rows = self.learner, len(batch.step_rows)
        before = torch.zeros(2, device=learner.device) if learner.loss_sum is None else learner.loss_sum
        learner.loss_sum = before + torch.where(
            finite, torch.stack([value * rows, torch.full_like(value, rows)]), 0.0
        )
        self.waiting.append(
            (SkippedStep(learner.epoch, learner.step, lr, math.nan, batch.step_rows, 0), value, finite)
        )

    def look(self, every: int) -> Iterator[SkippedStep]:
        """Yields the steps that were skipped since the last call. Raises NotFiniteError if too many are consecutive."""
        if self.learner.device.type != "cpu" and len(self.waiting) < every:
            return
        waiting, self.waiting = self.waiting, []
        if not waiting:
            return
        read = torch.stack([torch.stack([value, finite.to(value)]) for _, value, finite in waiting]).tolist()
        for (skipped, _, _), (loss, finite) in zip(waiting, read, strict=True):
            self.learner.skipped = 0 if finite else self.learner.skipped + 1
            if not finite:
                self.learner.skipped_in_epoch += 1
                step_skipped = replace(skipped, loss=loss, in_a_row=self.learner.skipped)
                self.last = step_skipped
                if step_skipped.in_a_row >= self.most:
                    raise self.learner.ranks.raise_everywhere(NotFiniteError(step_skipped))
                yield step_skipped

    def mean(self) -> float:
        """Returns the mean loss of the epoch's rows. Raises NotFiniteError if all of its steps were skipped."""
        total, rows = (0.0, 0.0) if self.learner.loss_sum is None else self.learner.loss_sum.tolist()
        if not rows and self.last is not None:
            raise self.learner.ranks.raise_everywhere(NotFiniteError(self.last))
        return float(total / max(rows, 1))


def update_batch_norm(
    network: nn.Module,
    batches: Epochs,
    plan: StepPlan,
    precision: Precision,
    epoch: int,
    ranks: Ranks = ALONE,
    still_modules: Collection[str] = (),
) -> None:
    """Measures batch norm's statistics again over one epoch of training batches, without mixing.

    Those of `still_modules`, named as in `network.named_modules()`, stay as they are.

    Source: Izmailov et al. 2018, section 3.2; torch.optim.swa_utils.update_bn, which has no frozen parts.
    """
    device = next(network.parameters()).device
    torch.manual_seed(randomness.number(plan.seed, "statistics", plan.fold))

    def inputs() -> Iterator[tuple[Tensor, ...]]:
        for batch in batches.epoch(epoch):
            images = precision.to_layout(batch.images, device)
            whole = (images,) if batch.side is None else (images, batch.side.to(device))
            for part in even_batches(len(images), plan.micro_batch_size or len(images)):
                yield tuple(values[part[0] : part[-1] + 1] for values in whole)

    norms = [
        module
        for name, module in network.named_modules()
        if isinstance(module, AnyBatchNorm) and name not in still_modules
    ]
    momenta, was_training = [norm.momentum for norm in norms], network.training
    network.train()
    for name, module in network.named_modules():
        if name in still_modules:
            module.train(False)
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the statistics are the mean of the batches'
    if norms:
        with precision.autocast_training(device), torch.no_grad():
            for given in inputs():
                network(*given)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    network.train(was_training)
    ranks.all_reduce([], float_tensors(network.buffers()))


def set_lr(learner: Learner, factor: float) -> float:
    """Sets each group's learning rate to `factor` times its peak, and returns the highest."""
    for group, peak in zip(learner.optimizer.param_groups, learner.peaks, strict=True):
        group["lr"] = peak * factor
    return max(float(group["lr"]) for group in learner.optimizer.param_groups)
