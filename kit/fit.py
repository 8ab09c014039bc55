"""fit: a generator that trains; it yields Steps and Epochs, each with its state, and neither writes nor prints."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, cast

import torch
from torch import Tensor, nn

from kit import randomness
from kit.average import Average
from kit.batches import spread
from kit.errors import RunError
from kit.kinds import Loss, Scheduler
from kit.precision import Precision

if TYPE_CHECKING:
    from kit.batches import Batch

CHECK_EVERY = 20  # steps between looks at the loss on a GPU, where each look waits for the device


class Epochs(Protocol):
    """Batches by epoch: the same for the same number, whoever asks."""

    steps: int

    def epoch(self, number: int, first_step: int = 0) -> Iterator[Batch]: ...


@dataclass(frozen=True)
class Plan:
    """The numbers of a fit."""

    epochs: int
    seed: int
    fold: int
    micro_batch_size: int | None = None
    clip_grad_norm: float | None = None


@dataclass
class Learner:
    """What a fit changes: the weights, their average, the optimizer, and how many steps are done."""

    network: nn.Module
    optimizer: torch.optim.Optimizer
    average: Average | None
    scaler: torch.amp.GradScaler
    peaks: list[float] = field(default_factory=list)
    step: int = 0
    epoch: int = 0

    def state(self) -> dict[str, Any]:
        """All but the weights: what else an identical continuation needs."""
        return {
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "peaks": self.peaks,
            "step": self.step,
            "epoch": self.epoch,
        }

    def load(
        self, state: dict[str, Any], weights: dict[str, Tensor], average: dict[str, Tensor] | None
    ) -> None:
        """Takes up a state written by `state`, with the weights and their average."""
        self.network.load_state_dict(weights)
        if self.average is not None and average is not None:
            self.average.module.load_state_dict(average)
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        self.peaks, self.step, self.epoch = state["peaks"], state["step"], state["epoch"]

    @property
    def predictor(self) -> nn.Module:
        """The network whose predictions count: the averaged one where there is one."""
        return self.average.module if self.average is not None else self.network


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
    """One epoch is done, `number` of them in all."""

    number: int
    loss: float
    lr: float
    rows: int
    seconds: float


def learner(
    network: nn.Module, optimizer: torch.optim.Optimizer, ema_decay: float, precision: Precision
) -> Learner:
    """A learner before its first step; the average of weights uses timm's warm-up of the decay."""
    average = Average(network, ema_decay) if ema_decay else None
    scaler = torch.amp.GradScaler(
        next(network.parameters()).device.type, enabled=precision.train == "float16"
    )
    return Learner(network, optimizer, average, scaler, [group["lr"] for group in optimizer.param_groups])


def fit(
    learner: Learner, loss: Loss, batches: Epochs, scheduler: Scheduler, plan: Plan, precision: Precision
) -> Iterator[Step | Epoch]:
    """Trains from the learner's state to the plan's last epoch.

    Raises RunError R01 where the loss is not finite: the learner is spoilt then, its last checkpoint is not.
    """
    device = next(learner.network.parameters()).device
    total = plan.epochs * batches.steps
    while learner.epoch < plan.epochs:
        start, rows = time.perf_counter(), 0
        summed = torch.zeros((), device=device)
        learner.network.train()
        for batch in batches.epoch(learner.epoch):
            lr = _set_rate(learner, scheduler.factor((learner.step + 1) / total))
            value = _step(learner, loss, batch, plan, precision, learner.step / total)
            summed += value * len(batch.rows)
            rows += len(batch.rows)
            learner.step += 1
            if device.type == "cpu" or learner.step % CHECK_EVERY == 0:
                _refuse_not_finite(value, learner, lr)
            yield Step(learner.step, total, learner.epoch, lr, value, len(batch.rows))
        mean = summed / max(rows, 1)
        _refuse_not_finite(mean, learner, lr)
        learner.epoch += 1
        yield Epoch(learner.epoch, float(mean), lr, rows, time.perf_counter() - start)


def _set_rate(learner: Learner, factor: float) -> float:
    for group, peak in zip(learner.optimizer.param_groups, learner.peaks, strict=True):
        group["lr"] = peak * factor
    return float(learner.optimizer.param_groups[0]["lr"])


def _step(
    learner: Learner, loss: Loss, batch: Batch, plan: Plan, precision: Precision, progress: float
) -> Tensor:
    """One optimizer step over an effective batch; returns its mean loss, on the device.

    Mixing is drawn once for the whole batch, which then runs in micro-batches whose gradients add up.
    """
    device = next(learner.network.parameters()).device
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
        learner.average.update(learner.step + 1)


def _refuse_not_finite(value: Tensor, learner: Learner, lr: float) -> None:
    if not torch.isfinite(value):
        raise RunError(
            f"the loss is {float(value)} in epoch {learner.epoch + 1}, step {learner.step}, at lr {lr:.3g}",
            code="R01",
            hint="a lower optimizer.lr, clip_grad_norm=1, or precision=float32, under another --name",
        )
