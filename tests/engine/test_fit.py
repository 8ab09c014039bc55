"""fit, against a loop written by hand and against itself in micro-batches."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from kit.device.precision import Precision
from kit.engine import fit
from kit.engine.batches import Batch
from kit.engine.learner import Learner, learner
from kit.engine.step import StepPlan
from kit.errors import RunError
from kit.kinds import Loss, Optimizer, Scheduler
from kit.model.network import set_layerwise_lr

FLOAT = Precision("float32", "float32", "contiguous")


class Fixed:
    """The same batches every epoch, as uint8 images."""

    def __init__(self, steps: int = 3, rows: int = 8) -> None:
        draws = torch.Generator().manual_seed(1)
        self.steps = steps
        self.batches = [
            Batch(
                torch.randint(0, 256, (rows, 3, 6, 6), dtype=torch.uint8, generator=draws),
                torch.randint(0, 4, (rows,), generator=draws),
                torch.arange(rows),
            )
            for _ in range(steps)
        ]

    def epoch(self, number: int, first_step: int = 0) -> Iterator[Batch]:
        yield from self.batches[first_step:]

    def close(self) -> None:
        pass


class Flat(nn.Module):
    """A linear network over pixels, without batch norm, so that micro-batches change nothing."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.inner = nn.Linear(108, 4)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        outputs: torch.Tensor = self.inner(images.float().flatten(1) / 255)
        return outputs


def stage(
    epochs: int, loss: str | dict[str, Any] = "cross_entropy", batches: Fixed | None = None, **more: Any
) -> fit.FitStage:
    more = {"scheduler": Scheduler.open("constant"), **more}
    return fit.FitStage(epochs, batches or Fixed(), Loss.open(loss), **more)


def new(
    network: nn.Module | None = None, /, *, ema_decay: float = 0.0, swa_start: float | None = None
) -> Learner:
    network = network or Flat()
    optimizer = Optimizer.open({"name": "sgd", "lr": 0.1}).build(list(network.named_parameters()))
    return learner(network, optimizer, FLOAT, ema_decay=ema_decay, swa_start=swa_start)


def fitted(
    epochs: int,
    plan: StepPlan,
    loss: str | dict[str, Any] = "cross_entropy",
    ema: float = 0.0,
    begun: Learner | None = None,
) -> Learner:
    trainer = begun or new(ema_decay=ema)
    for _ in fit.fit(trainer, [stage(epochs, loss)], plan, FLOAT):
        pass
    return trainer


def test_it_is_the_loop_one_would_write_by_hand() -> None:
    network, batches, scheduler = Flat(), Fixed(), Scheduler.open({"name": "cosine", "warmup": 0.3})
    stages = [stage(2, batches=batches, scheduler=scheduler)]
    rates = [
        event.lr
        for event in fit.fit(new(network), stages, StepPlan(0, 0), FLOAT)
        if isinstance(event, fit.StepEvent)
    ]
    other = Flat()
    plain = torch.optim.SGD(
        [
            {"params": [other.inner.weight], "weight_decay": 5e-4},
            {"params": [other.inner.bias], "weight_decay": 0},
        ],
        lr=0.1,
        momentum=0.9,
        nesterov=True,
    )
    for step in range(6):
        for group in plain.param_groups:
            group["lr"] = rates[step]
        batch = batches.batches[step % 3]
        plain.zero_grad()
        functional.cross_entropy(other(batch.images), batch.labels).backward()
        plain.step()
    torch.testing.assert_close(network.inner.weight, other.inner.weight, rtol=1e-5, atol=1e-6)
    assert rates[-1] == pytest.approx(0.1 * (1 + math.cos(math.pi * (6 / 7 - 0.3) / 0.7)) / 2)


@pytest.mark.parametrize("loss", ["cross_entropy", {"name": "cutmix"}, "label_smoothing"])
@pytest.mark.parametrize("size", [1, 3, 4])
def test_micro_batches_change_nothing_without_batch_norm(loss: str | dict[str, Any], size: int) -> None:
    whole = fitted(2, StepPlan(seed=5, fold=0), loss)
    parts = fitted(2, StepPlan(seed=5, fold=0, micro_batch_size=size), loss)
    torch.testing.assert_close(whole.network.state_dict(), parts.network.state_dict(), rtol=1e-5, atol=1e-6)


class Sized(Flat):
    """Flat that notes how many images it is shown at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[int] = []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.seen.append(len(images))
        return super().forward(images)


@pytest.mark.parametrize(("rows", "size", "seen"), [(17, 16, [9, 8]), (8, 7, [4, 4]), (9, 4, [3, 3, 3])])
def test_no_micro_batch_is_left_with_a_single_row(rows: int, size: int, seen: list[int]) -> None:
    network = Sized()
    stages = [stage(1, batches=Fixed(steps=1, rows=rows))]
    list(fit.fit(new(network), stages, StepPlan(0, 0, micro_batch_size=size), FLOAT))
    assert network.seen == seen


def test_gradients_are_clipped_to_the_norm_that_is_asked() -> None:
    free, tight = fitted(1, StepPlan(0, 0)), fitted(1, StepPlan(0, 0, clip_grad_norm=1e-4))
    start = Flat().inner.weight
    moved = [
        (trainer.network.get_parameter("inner.weight") - start).norm().item() for trainer in (free, tight)
    ]
    assert moved[1] < 1e-3 * moved[0] + 1e-4


@pytest.mark.parametrize("average", [{}, {"ema_decay": 0.9}, {"swa_start": 0.3}], ids=str)
def test_a_continuation_from_any_epoch_ends_with_the_same_bits(average: dict[str, float]) -> None:
    stages, plan = [stage(3, "cutmix")], StepPlan(seed=2, fold=1)
    whole, begun, resumed = new(**average), new(**average), new(**average)
    list(fit.fit(whole, stages, plan, FLOAT))
    for event in fit.fit(begun, stages, plan, FLOAT):
        if isinstance(event, fit.EpochEvent) and event.number == 2:
            break
    resumed.load(
        begun.state(),
        begun.network.state_dict(),
        begun.average_network.state_dict() if begun.average_network else None,
    )
    list(fit.fit(resumed, stages, plan, FLOAT))
    for one, other in ((whole.network, resumed.network), (whole.predictor, resumed.predictor)):
        assert all(
            torch.equal(a, b)
            for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True)
        )
    assert (whole.predictor is whole.network) == (not average)


def test_a_loss_that_is_not_finite_stops_before_the_epoch_ends() -> None:
    spoilt = new()
    nn.init.constant_(spoilt.network.get_parameter("inner.weight"), float("nan"))
    with pytest.raises(RunError, match=r"R01 the loss is nan in epoch 1, step 3"):
        list(fit.fit(spoilt, [stage(1)], StepPlan(0, 0), FLOAT))
    assert spoilt.epoch == 0


def test_an_epoch_reports_the_mean_loss_of_its_rows() -> None:
    network, batches = Flat(), Fixed()
    still = learner(network, torch.optim.SGD(network.parameters(), lr=1e-12), FLOAT)
    events = list(fit.fit(still, [stage(1, batches=batches)], StepPlan(0, 0), FLOAT))
    by_hand = np.mean([functional.cross_entropy(network(b.images), b.labels).item() for b in batches.batches])
    assert isinstance(events[-1], fit.EpochEvent)
    assert events[-1].loss == pytest.approx(by_hand, rel=1e-5)
    assert events[-1].rows == 24


# ------------------------------------------------------------------------------------------------ stages


def test_two_stages_that_differ_in_nothing_are_one() -> None:
    plan, scheduler = StepPlan(seed=3, fold=0), Scheduler.open("cosine")
    one, two = new(ema_decay=0.9), new(ema_decay=0.9)
    list(fit.fit(one, [stage(5, "cutmix", scheduler=scheduler)], plan, FLOAT))
    list(fit.fit(two, [stage(n, "cutmix", scheduler=scheduler) for n in (2, 3)], plan, FLOAT))
    for a, b in ((one.network, two.network), (one.predictor, two.predictor)):
        assert torch.equal(a.get_parameter("inner.weight"), b.get_parameter("inner.weight"))


def test_a_schedule_runs_over_all_stages_and_one_of_a_stages_own_over_that_stage() -> None:
    line = Scheduler.open({"name": "polynomial", "power": 1, "warmup": 0})
    stages = [
        stage(1, batches=Fixed(4), scheduler=line),
        stage(2, batches=Fixed(2), scheduler=line, lr_scale=0.5),
    ]
    assert list(fit.lr_factors(stages)) == pytest.approx(
        [8 / 9, 7 / 9, 6 / 9, 5 / 9, 4 / 18, 3 / 18, 2 / 18, 1 / 18]
    )
    stages[1] = stage(2, batches=Fixed(2), scheduler=line, own_schedule=True)
    assert list(fit.lr_factors(stages)) == pytest.approx(
        [8 / 9, 7 / 9, 6 / 9, 5 / 9, 4 / 5, 3 / 5, 2 / 5, 1 / 5]
    )


def test_a_frozen_part_keeps_its_weights_and_its_batch_norms_statistics_until_it_thaws() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.below = nn.Sequential(nn.Flatten(), nn.Linear(108, 5), nn.BatchNorm1d(5))
            self.above = nn.Linear(5, 4)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            outputs: torch.Tensor = self.above(self.below(images.float() / 255))
            return outputs

    network = Two()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    stages = [stage(1, frozen=("below",)), stage(1)]
    moved = []
    trainer = new(network)
    set_layerwise_lr(trainer.optimizer, network, freezes=[stage.frozen for stage in stages])
    trainer.peaks = [0.1] * len(trainer.optimizer.param_groups)
    for event in fit.fit(trainer, stages, StepPlan(0, 0, clip_grad_norm=1.0), FLOAT):
        if isinstance(event, fit.EpochEvent):
            state = network.state_dict()
            moved.append({name for name in state if not torch.equal(state[name], before[name])})
    assert moved[0] == {"above.weight", "above.bias"}
    assert moved[1] == set(before)
