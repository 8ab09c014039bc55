"""fit, against a loop written by hand and against itself in micro-batches."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from kit import fit
from kit.average import Average
from kit.batches import Batch
from kit.errors import RunError
from kit.kinds import Loss, Optimizer, Scheduler
from kit.precision import Precision

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


class Flat(nn.Module):
    """A linear network over pixels, without batch norm, so that micro-batches change nothing."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.inner = nn.Linear(108, 4)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.inner(images.float().flatten(1) / 255)


def fitted(plan: fit.Plan, loss: str | dict = "cross_entropy", ema: float = 0.0) -> fit.Learner:
    network = Flat()
    optimizer = Optimizer.open({"name": "sgd", "lr": 0.1}).build(list(network.named_parameters()))
    learner = fit.learner(network, optimizer, ema, FLOAT)
    for _ in fit.fit(learner, Loss.open(loss), Fixed(), Scheduler.open("constant"), plan, FLOAT):
        pass
    return learner


def test_it_is_the_loop_one_would_write_by_hand() -> None:
    network, batches, scheduler = Flat(), Fixed(), Scheduler.open({"name": "cosine", "warmup": 0.3})
    optimizer = Optimizer.open({"name": "sgd", "lr": 0.1}).build(list(network.named_parameters()))
    learner = fit.learner(network, optimizer, 0.0, FLOAT)
    rates = [
        event.lr
        for event in fit.fit(
            learner, Loss.open("cross_entropy"), batches, scheduler, fit.Plan(2, 0, 0), FLOAT
        )
        if isinstance(event, fit.Step)
    ]
    other = Flat()
    plain = torch.optim.SGD(
        [{"params": [other.inner.weight], "weight_decay": 5e-4}, {"params": [other.inner.bias], "weight_decay": 0}],
        lr=0.1, momentum=0.9, nesterov=True,
    )  # fmt: skip
    for step in range(6):
        for group in plain.param_groups:
            group["lr"] = rates[step]
        batch = batches.batches[step % 3]
        plain.zero_grad()
        functional.cross_entropy(other(batch.images), batch.labels).backward()
        plain.step()
    torch.testing.assert_close(network.inner.weight, other.inner.weight, rtol=1e-5, atol=1e-6)
    assert rates[-1] == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("loss", ["cross_entropy", {"name": "cutmix"}, "label_smoothing"])
@pytest.mark.parametrize("size", [1, 3, 4])
def test_micro_batches_change_nothing_without_batch_norm(loss: str | dict, size: int) -> None:
    whole = fitted(fit.Plan(2, seed=5, fold=0), loss)
    parts = fitted(fit.Plan(2, seed=5, fold=0, micro_batch_size=size), loss)
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
    optimizer = Optimizer.open({"name": "sgd", "lr": 0.1}).build(list(network.named_parameters()))
    learner = fit.learner(network, optimizer, 0.0, FLOAT)
    plan = fit.Plan(1, 0, 0, micro_batch_size=size)
    batches = Fixed(steps=1, rows=rows)
    list(fit.fit(learner, Loss.open("cross_entropy"), batches, Scheduler.open("constant"), plan, FLOAT))
    assert network.seen == seen


def test_gradients_are_clipped_to_the_norm_that_is_asked() -> None:
    free, tight = fitted(fit.Plan(1, 0, 0)), fitted(fit.Plan(1, 0, 0, clip_grad_norm=1e-4))
    start = Flat().inner.weight
    moved = [(learner.network.inner.weight - start).norm().item() for learner in (free, tight)]
    assert moved[1] < 1e-3 * moved[0] + 1e-4


def test_the_average_follows_timms_warmed_up_decay() -> None:
    network = nn.Linear(1, 1, bias=False)
    learner = fit.learner(network, torch.optim.SGD(network.parameters(), lr=1.0), 0.7, FLOAT)
    assert learner.average is not None
    values, expected = [3.0, 5.0, 7.0, 11.0], 0.0
    for step, value in enumerate(values):
        nn.init.constant_(network.weight, value)
        learner.average.update(step + 1)
        decay = min(0.7, 1 - (1 + step) ** (-2 / 3)) if step else 0.0
        expected = decay * expected + (1 - decay) * value
    assert learner.average.module.weight.item() == pytest.approx(expected, rel=1e-6)


def test_the_average_is_timms_to_the_bit_with_batch_norm_too() -> None:
    from timm.utils import ModelEmaV3

    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(64, 2))
    ours, theirs = Average(network, 0.8), ModelEmaV3(network, decay=0.8, use_warmup=True)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    for step in range(1, 8):
        network(torch.randn(5, 3, 6, 6)).square().mean().backward()
        optimizer.step()
        ours.update(step)
        theirs.update(network, step=step)
    mine, reference = ours.module.state_dict(), theirs.module.state_dict()
    assert all(torch.equal(mine[key], reference[key]) for key in reference)
    assert mine["1.num_batches_tracked"].item() == 7


def test_a_continuation_from_any_epoch_ends_with_the_same_bits() -> None:
    whole = fitted(fit.Plan(3, seed=2, fold=1), "cutmix", ema=0.9)
    begun = fitted(fit.Plan(2, seed=2, fold=1), "cutmix", ema=0.9)
    network = Flat()
    optimizer = Optimizer.open({"name": "sgd", "lr": 0.1}).build(list(network.named_parameters()))
    resumed = fit.learner(network, optimizer, 0.9, FLOAT)
    assert begun.average is not None
    resumed.load(begun.state(), begun.network.state_dict(), begun.average.module.state_dict())
    plan = fit.Plan(3, seed=2, fold=1)
    for _ in fit.fit(resumed, Loss.open("cutmix"), Fixed(), Scheduler.open("constant"), plan, FLOAT):
        pass
    for one, other in ((whole.network, resumed.network), (whole.predictor, resumed.predictor)):
        assert all(
            torch.equal(a, b)
            for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True)
        )


def test_a_loss_that_is_not_finite_stops_before_the_epoch_ends() -> None:
    network = Flat()
    optimizer = Optimizer.open({"name": "sgd", "lr": 0.1}).build(list(network.named_parameters()))
    learner = fit.learner(network, optimizer, 0.0, FLOAT)
    nn.init.constant_(network.inner.weight, float("nan"))
    with pytest.raises(RunError, match=r"R01 the loss is nan in epoch 1, step 1"):
        list(
            fit.fit(
                learner,
                Loss.open("cross_entropy"),
                Fixed(),
                Scheduler.open("constant"),
                fit.Plan(1, 0, 0),
                FLOAT,
            )
        )
    assert learner.epoch == 0


def test_an_epoch_reports_the_mean_loss_of_its_rows() -> None:
    network = Flat()
    frozen = torch.optim.SGD(network.parameters(), lr=1e-12)
    learner = fit.learner(network, frozen, 0.0, FLOAT)
    batches = Fixed()
    events = list(
        fit.fit(
            learner, Loss.open("cross_entropy"), batches, Scheduler.open("constant"), fit.Plan(1, 0, 0), FLOAT
        )
    )
    by_hand = np.mean([functional.cross_entropy(network(b.images), b.labels).item() for b in batches.batches])
    assert isinstance(events[-1], fit.Epoch)
    assert events[-1].loss == pytest.approx(by_hand, rel=1e-5)
    assert events[-1].rows == 24
