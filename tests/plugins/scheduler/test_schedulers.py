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
