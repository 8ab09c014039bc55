"""Schedules against torch's and numbers by hand."""

from __future__ import annotations

import pytest
import torch

from kit.kinds import Scheduler


def test_cosine_without_warm_up_is_torchs() -> None:
    weight = torch.nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    reference = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=50, eta_min=0.1)
    schedule = Scheduler.open({"name": "cosine", "warmup": 0, "floor": 0.1})
    for step in range(1, 51):
        optimizer.step()
        reference.step()
        assert schedule.factor(step / 50) == pytest.approx(reference.get_last_lr()[0], abs=1e-9)


def test_cosine_reaches_its_peak_exactly_at_the_end_of_the_warm_up() -> None:
    schedule = Scheduler.open({"name": "cosine", "warmup": 0.2})
    assert [schedule.factor(p) for p in (0.1, 0.2, 0.6, 1.0)] == pytest.approx([0.5, 1.0, 0.5, 0.0])


def test_constant_rises_and_stays() -> None:
    schedule = Scheduler.open({"name": "constant", "warmup": 0.5})
    assert [schedule.factor(p) for p in (0.25, 0.5, 1.0)] == [0.5, 1.0, 1.0]


def rates(make: str, steps: int, **options: object) -> list[float]:
    """The learning rates that torch's scheduler of a name gives from a rate of 1."""
    weight = torch.nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    reference = getattr(torch.optim.lr_scheduler, make)(optimizer, **options)
    values = []
    for _ in range(steps):
        values.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        reference.step()
    return values


def test_one_cycle_is_torchs() -> None:
    steps, warmup = 101, 0.3
    theirs = rates("OneCycleLR", steps, max_lr=1.0, total_steps=steps, pct_start=warmup, cycle_momentum=False)
    ours = Scheduler.open({"name": "one_cycle", "warmup": (warmup * steps - 1) / (steps - 1)})
    for step, rate in enumerate(theirs):  # torch counts steps from 0 to total - 1
        assert ours.factor(step / (steps - 1)) == pytest.approx(rate, abs=1e-9)
    assert max(ours.factor(step / 1000) for step in range(1001)) == pytest.approx(1, abs=1e-4)


def test_steps_are_torchs_milestones() -> None:
    theirs = rates("MultiStepLR", 40, milestones=[20, 30], gamma=0.1)
    ours = Scheduler.open({"name": "step", "milestones": [0.5, 0.75]})
    assert [ours.factor((step + 1) / 40) for step in range(40)] == pytest.approx(theirs)


def test_polynomial_is_torchs() -> None:
    theirs = rates("PolynomialLR", 21, total_iters=20, power=0.9)
    ours = Scheduler.open({"name": "polynomial", "power": 0.9, "warmup": 0})
    assert [ours.factor(step / 20) for step in range(21)] == pytest.approx(theirs)
