"""fit: a generator that trains; it yields Steps and Epochs, each with its state, and neither writes nor prints."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, cast

import torch
from torch import Tensor, nn

from kit import randomness
from kit.batches import spread
from kit.errors import RunError
from kit.kinds import Loss, Scheduler
from kit.learner import Learner
from kit.precision import Precision
from kit.rates import freeze

if TYPE_CHECKING:
    from kit.batches import Batch

CHECK_EVERY = 20  # steps between looks at the loss on a GPU, where each look waits for the device


class Epochs(Protocol):
    """Batches by epoch: the same for the same number, whoever asks."""

    steps: int

    def epoch(self, number: int, first_step: int = 0) -> Iterator[Batch]: ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class Stage:
    """Epochs that are alike; a fit is a list of them. A network's frozen parts are named as its modules are."""

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
class Plan:
    """The numbers of a fit that all its stages share."""

    seed: int
    fold: int
    micro_batch_size: int | None = None
    clip_grad_norm: float | None = None


@dataclass(frozen=True)
class Step:
    """One optimizer step is done; `loss` is on the device, reading it waits for the step."""

    number: int
    of: int
    epoch: int
    lr: float
    loss: Tensor
    rows: int


@dataclass(frozen=True)
class Epoch:
    """One epoch is done, `number` of them in all; `rows` and `seconds` are what this process did of it."""

    number: int
    loss: float
    lr: float
    rows: int
    seconds: float


def factors(stages: Sequence[Stage]) -> Iterator[float]:
    """What the peak learning rate is multiplied by at each step of a fit."""
    total, begun = sum(stage.steps for stage in stages), 0
    for stage in stages:
        first, length = (begun, stage.steps) if stage.own_schedule else (0, total)
        for step in range(begun, begun + stage.steps):
            yield stage.lr_scale * stage.scheduler.factor((step + 1 - first) / length)
        begun += stage.steps


def fit(
    learner: Learner, stages: Sequence[Stage], plan: Plan, precision: Precision
) -> Iterator[Step | Epoch]:
    """Trains from the learner's state to the end of the last stage.

    Raises RunError R01 where the loss is not finite: the learner is spoilt then, its last checkpoint is not.
    """
    rates = list(factors(stages))
    epochs, ended = sum(stage.epochs for stage in stages), 0
    for stage in stages:
        ended += stage.epochs
        while learner.epoch < ended:
            yield from _epoch(learner, stage, plan, precision, rates, epochs)
        stage.batches.close()


def _epoch(
    learner: Learner, stage: Stage, plan: Plan, precision: Precision, rates: Sequence[float], epochs: int
) -> Iterator[Step | Epoch]:
    """One epoch of a stage, and at the end of the fit batch norm's statistics of the averaged weights."""
    start, total, lr, rows = time.perf_counter(), len(rates), 0.0, 0
    summed = torch.zeros((), device=learner.device) if learner.summed is None else learner.summed
    freeze(learner.network, stage.frozen)
    for batch in stage.batches.epoch(learner.epoch, learner.begun):
        lr = set_rate(learner, rates[learner.step])
        value = update(learner, stage.loss, batch, plan, precision, learner.step / total)
        learner.summed = summed = summed + value * len(batch.rows)
        learner.rows, rows = learner.rows + len(batch.rows), rows + len(batch.rows)
        learner.step, learner.begun = learner.step + 1, learner.begun + 1
        if learner.device.type == "cpu" or learner.step % CHECK_EVERY == 0:
            _refuse_not_finite(value, learner, lr)
        yield Step(learner.step, total, learner.epoch, lr, value, len(batch.rows))
    mean = summed / max(learner.rows, 1)
    if not rows:  # the epoch's last step was another process's
        lr = max(learner.peaks) * rates[learner.step - 1]
    _refuse_not_finite(mean, learner, lr)
    learner.begun, learner.rows, learner.summed = 0, 0, None
    learner.epoch += 1
    if learner.average is not None:
        learner.average.after_epoch(learner.epoch / epochs)
        if learner.epoch == epochs and learner.average.wants_statistics():
            take_statistics(learner.average.module, stage.batches, plan, precision, epochs)
    yield Epoch(learner.epoch, float(mean), lr, rows, time.perf_counter() - start)


def take_statistics(
    network: nn.Module, batches: Epochs, plan: Plan, precision: Precision, epoch: int
) -> None:
    """Takes batch norm's statistics anew over one epoch of training batches, none of them mixed.

    Source: Izmailov et al. 2018, section 3.2; torch.optim.swa_utils.update_bn.
    """
    device = next(network.parameters()).device
    torch.manual_seed(randomness.number(plan.seed, "statistics", plan.fold))

    def shown() -> Iterator[Tensor]:
        for batch in batches.epoch(epoch):
            images = precision.arrange(batch.images, device)
            for part in spread(len(images), plan.micro_batch_size or len(images)):
                yield images[part[0] : part[-1] + 1]

    with precision.training(device):
        torch.optim.swa_utils.update_bn(shown(), network)


def set_rate(learner: Learner, factor: float) -> float:
    """Sets each group's learning rate to `factor` times its peak, and returns the highest."""
    for group, peak in zip(learner.optimizer.param_groups, learner.peaks, strict=True):
        group["lr"] = peak * factor
    return max(float(group["lr"]) for group in learner.optimizer.param_groups)


def update(
    learner: Learner, loss: Loss, batch: Batch, plan: Plan, precision: Precision, progress: float
) -> Tensor:
    """One optimizer step over an effective batch; returns its mean loss, on the device.

    Mixing is drawn once for the whole batch, which then runs in micro-batches whose gradients add up.
    """
    device = learner.device
    torch.manual_seed(randomness.number(plan.seed, "step", plan.fold, learner.step))
    draws = randomness.generator(plan.seed, "mix", plan.fold, learner.step)
    images = precision.arrange(batch.images, device)
    images, shares = loss.mix(images, batch.labels.to(device, non_blocking=True), draws, progress)
    count = len(images)
    size = plan.micro_batch_size if plan.micro_batch_size and loss.can_be_split() else count
    parts = [slice(part[0], part[-1] + 1) for part in spread(count, size)]
    learner.optimizer.zero_grad(set_to_none=True)
    value = torch.zeros((), device=device)
    for rows in parts:
        given = outputs(learner.network, images[rows], precision, device)
        summed = _summed(loss, given.float(), [(share, labels[rows]) for share, labels in shares])
        learner.scaler.scale(summed / count).backward()
        value += summed.detach() / count
    _descend(learner, plan.clip_grad_norm)
    return value


def outputs(network: nn.Module, images: Tensor, precision: Precision, device: torch.device) -> Tensor:
    """The network's outputs for training. Raises RunError R04 where batch norm is left with one value."""
    try:
        with precision.training(device):
            return cast(Tensor, network(images))
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise RunError(
            f"batch norm cannot train on {len(images)} image at a time where one value a channel is left of it",
            code="R04", hint="a larger batch_size, micro_batch_size or image_size",
        ) from error  # fmt: skip


def _summed(loss: Loss, outputs: Tensor, shares: list[tuple[float, Tensor]]) -> Tensor:
    """sum over rows and label sets of share * loss."""
    parts = [share * loss.rows(outputs, labels).sum() for share, labels in shares]
    return torch.stack(parts).sum()


def _descend(learner: Learner, clip: float | None) -> None:
    if clip is not None:
        learner.scaler.unscale_(learner.optimizer)
        torch.nn.utils.clip_grad_norm_(learner.network.parameters(), clip)
    learner.scaler.step(learner.optimizer)
    learner.scaler.update()
    if learner.average is not None:
        learner.average.after_step(learner.step + 1)


def _refuse_not_finite(value: Tensor, learner: Learner, lr: float) -> None:
    if not torch.isfinite(value):
        raise RunError(
            f"the loss is {float(value)} in epoch {learner.epoch + 1}, step {learner.step}, at lr {lr:.3g}",
            code="R01",
            hint="a lower optimizer.lr, clip_grad_norm=1, or precision=float32, under another --name",
        )
