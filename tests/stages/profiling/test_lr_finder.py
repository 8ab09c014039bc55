"""The range test, against a quadratic whose divergence is known; the drawn rates are those of training."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from kit.config.workspace import Workspace
from kit.device.precision import Precision
from kit.engine import fit
from kit.engine.batches import Batch
from kit.engine.learner import learner
from kit.engine.step import StepPlan
from kit.kinds import Loss, Scheduler
from kit.stages.profiling.lr_finder import (
    LrCurve,
    LrPoint,
    compute_lr_schedule,
    range_test,
    run_lr_range_test,
    suggest_lr,
)
from kit.stages.training.train import train

FLOAT = Precision("float32", "float32", "contiguous")
CURVATURE = 4.0


class Quadratic(Loss):
    """Half the curvature times the output's square."""

    def rows(self, outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return CURVATURE / 2 * outputs[:, 0].square()


class Weight(nn.Module):
    """Gives its only weight, whatever the image."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.weight.expand(len(images), 1)


class One:
    """One batch of two images an epoch."""

    steps = 1

    def epoch(self, number: int, first_step: int = 0) -> Iterator[Batch]:
        yield Batch(
            torch.zeros(2, 3, 4, 4, dtype=torch.uint8), torch.zeros(2, dtype=torch.int64), torch.arange(2)
        )

    def close(self) -> None:
        pass


def ranged(highest: float, steps: int = 60) -> list[LrPoint]:
    network = Weight()
    trainer = learner(network, torch.optim.SGD(network.parameters(), lr=0.3), FLOAT)
    stage = fit.FitStage(1, One(), Quadratic(), Scheduler.open("constant"))
    return list(range_test(trainer, stage, StepPlan(0, 0), FLOAT, 1e-3, highest, steps))


def test_each_step_has_the_rate_and_the_loss_worked_out_by_hand() -> None:
    weight = 1.0
    for number, trial in enumerate(ranged(0.4)):
        lr = 1e-3 * 400 ** (number / 59)
        assert trial.lr == pytest.approx(lr)
        assert trial.loss == pytest.approx(CURVATURE / 2 * weight**2, rel=1e-4, abs=1e-12)
        weight *= 1 - lr * CURVATURE
    assert number == 59


def test_the_loss_rises_from_where_gradient_descent_diverges_and_the_test_ends() -> None:
    trials = ranged(highest=100.0)
    assert len(trials) < 60
    rises = next(n for n in range(1, len(trials)) if trials[n].loss > trials[n - 1].loss)
    assert trials[rises - 2].lr < 2 / CURVATURE <= trials[rises - 1].lr
    assert all(math.isfinite(trial.smoothed) for trial in trials)


def test_the_suggestions_are_the_steepest_rate_and_a_tenth_of_the_lowests() -> None:
    losses = [5, 5, 5, 5, 5, 5, 5, 4.9, 4.5, 3.0, 2.0, 1.8, 1.9, 2.5]
    trials = [LrPoint(10 ** (number / 2 - 7), loss, loss) for number, loss in enumerate(losses)]
    steepest, tenth = suggest_lr(trials)
    assert steepest == pytest.approx(10 ** (9 / 2 - 7))
    assert tenth == pytest.approx(10 ** (11 / 2 - 8))
    assert all(math.isnan(value) for value in suggest_lr(trials[:2]))


def test_a_step_has_its_place_among_the_epochs_of_stages_of_different_lengths() -> None:
    curve = LrCurve(rates=(1.0,) * 14, epochs=(2, 1), steps=(5, 4))
    assert [curve.epoch_of(step) for step in (1, 5, 10, 12, 14)] == pytest.approx([0.2, 1, 2, 2.5, 3])


def test_the_drawn_rates_are_those_of_training_and_nothing_is_left_behind(competition: Path) -> None:
    space = Workspace.open(competition, ['stages=[{"epochs":1,"lr_scale":0.5},{}]'])
    curve = compute_lr_schedule(space)
    assert not (competition / "runs").exists()
    run = train(space, name="r", folds=[0])
    logged = [json.loads(line) for line in (run.fold(0) / "log.jsonl").read_text().splitlines()]
    for line in logged:
        assert curve.rates[line["step"] - 1] == pytest.approx(line["lr"], abs=1e-12)
    assert len(curve.rates) == logged[-1]["step"]


def test_the_search_trains_a_network_and_throws_it_away(competition: Path) -> None:
    result = run_lr_range_test(Workspace.open(competition), lowest=1e-4, highest=0.1, steps=20)
    assert len(result.trials) == 20
    assert result.trials[0].lr == pytest.approx(1e-4)
    assert result.trials[-1].lr == pytest.approx(0.1)
    assert 1e-4 < result.steepest <= 0.1
    assert not (competition / "runs").exists()
