"""Exact resume: each part of what a checkpoint holds is needed, and a run killed with -9 comes to the same bits."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
import torch

from kit.engine.learner import Learner
from kit.model import checkpoints
from kit.stages.training.train import train
from tests.core.test_stopping import works_in
from tests.stages.training.test_train import Killed, kill_after, logged, oof, same, weights

State: TypeAlias = dict[str, Any]
Weights: TypeAlias = dict[str, torch.Tensor]
Parts: TypeAlias = tuple[State, Weights, Weights | None]
Dropped: TypeAlias = Callable[[State, Weights, Weights | None], Parts]

EMA = ["save_every_steps=2", "optimizer.weight_decay=0.1"]
SWA = ["save_every_steps=2", "swa_start=0", "epochs=3"]
FREE = [
    "save_every_steps=2",
    "optimizer=schedule_free_adamw",
    "ema_decay=0",
    "scheduler=constant",
    "scheduler.warmup=0.3",
]
HALF = ["save_every_steps=2", "precision=float16"]


def without(key: str, value: Any) -> Dropped:
    return lambda state, learned, average: ({**state, key: value}, learned, average)


def without_moments(state: State, learned: Weights, average: Weights | None) -> Parts:
    return {**state, "optimizer": {**state["optimizer"], "state": {}}}, learned, average


def without_peaks(state: State, learned: Weights, average: Weights | None) -> Parts:
    return {**state, "peaks": [group["lr"] for group in state["optimizer"]["param_groups"]]}, learned, average


def without_average(state: State, learned: Weights, average: Weights | None) -> Parts:
    return state, learned, learned


def without_statistics(state: State, learned: Weights, average: Weights | None) -> Parts:
    fresh = {"running_mean": torch.zeros_like, "running_var": torch.ones_like, "tracked": torch.zeros_like}
    new_state = {
        key: next((new(value) for word, new in fresh.items() if word in key), value)
        for key, value in learned.items()
    }
    assert any(not torch.equal(new_state[key], learned[key]) for key in learned)
    return state, new_state, average


def without_weights(state: State, learned: Weights, average: Weights | None) -> Parts:
    return state, {key: torch.zeros_like(value) for key, value in learned.items()}, average


def once_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """New learners take three images at a time, as after memory ran out."""
    module = sys.modules["kit.stages.training.fold"]
    plain = module.new_learner

    def new_learner(*arguments: Any) -> Learner:
        learner: Learner = plain(*arguments)
        learner.micro_batch_size = 3
        return learner

    monkeypatch.setattr(module, "new_learner", new_learner)


@pytest.mark.parametrize("keeps", [True, False])
def test_how_many_images_fit_at_a_time_is_remembered(
    competition: Path, monkeypatch: pytest.MonkeyPatch, keeps: bool
) -> None:
    with monkeypatch.context() as context:
        once_short(context)
        train(competition, EMA, name="undisturbed", folds=[0])
        kill_after(context, 6)
        with pytest.raises(Killed):
            train(competition, EMA, name="killed", folds=[0])
    assert (
        resumed(competition, monkeypatch, EMA, 1, None if keeps else without("micro_batch_size", None))
        == keeps
    )


def resumed(
    space: Path, monkeypatch: pytest.MonkeyPatch, overrides: list[str], steps: int, drop: Dropped | None
) -> bool:
    """Whether a run that is killed after so many steps, and loses a part of its state, ends as the undisturbed one."""
    if not (space / "runs" / "undisturbed").exists():
        train(space, overrides, name="undisturbed", folds=[0])
    with monkeypatch.context() as context:
        kill_after(context, steps)
        with pytest.raises(Killed):
            train(space, overrides, name="killed", folds=[0])
    plain = Learner.load
    with monkeypatch.context() as context:
        if drop is not None:
            context.setattr(Learner, "load", lambda learner, *parts: plain(learner, *drop(*parts)))
        try:
            train(space, overrides, name="killed", folds=[0])
        except IndexError:  # more steps than the run has
            return False
    return (
        same(weights(space, "undisturbed", 0), weights(space, "killed", 0))
        and logged(space, "undisturbed", 0) == logged(space, "killed", 0)
        and np.array_equal(oof(space, "undisturbed").probabilities, oof(space, "killed").probabilities)
    )


@pytest.mark.parametrize(
    ("overrides", "steps", "drop"),
    [
        (EMA, 6, without_moments),
        (EMA, 6, without_weights),
        (EMA, 6, without_average),
        (EMA, 6, without_statistics),
        (EMA, 6, without_peaks),
        (EMA, 6, without("step", 0)),
        (EMA, 6, without("epoch", 0)),
        (EMA, 6, without("begun", 0)),
        (EMA, 6, without("summed", None)),
        (FREE, 6, without_moments),
        (FREE, 6, without_weights),
        (SWA, 8, without("average", {"epochs": 1, "still_modules": []})),
        (
            HALF,
            6,
            without(
                "scaler",
                {
                    "scale": 2.0**24,
                    "growth_factor": 2.0,
                    "backoff_factor": 0.5,
                    "growth_interval": 2000,
                    "_growth_tracker": 0,
                },
            ),
        ),
    ],
    ids=[
        "optimizer",
        "weights",
        "average",
        "batch norm",
        "peaks",
        "step",
        "epoch",
        "begun",
        "summed",
        "schedule-free base",
        "schedule-free weights",
        "swa",
        "scaler",
    ],
)
def test_without_a_part_of_its_state_a_run_comes_to_something_else(
    competition: Path, monkeypatch: pytest.MonkeyPatch, overrides: list[str], steps: int, drop: Dropped
) -> None:
    assert not resumed(competition, monkeypatch, overrides, steps, drop)


@pytest.mark.parametrize(
    ("overrides", "steps"), [(EMA, 6), (EMA, 5), (SWA, 8), (FREE, 6), (FREE, 7), (HALF, 6)], ids=str
)
def test_with_all_of_its_state_it_comes_to_the_same(
    competition: Path, monkeypatch: pytest.MonkeyPatch, overrides: list[str], steps: int
) -> None:
    assert resumed(competition, monkeypatch, overrides, steps, None)


def test_the_state_has_no_part_that_is_not_tried_above(competition: Path) -> None:
    run = train(competition, ["epochs=1"], name="r", folds=[0])
    checkpoint = checkpoints.latest(run.fold(0))
    assert checkpoint is not None
    assert set(checkpoint.state()) == {
        "optimizer",
        "scaler",
        "average",
        "peaks",
        "step",
        "epoch",
        "begun",
        "summed",
        "micro_batch_size",
        "skipped",  # how near a run is to R01; no part of what it learns
        "left_out",
        "overflows",  # of the epoch's line in the log
    }


# a loss that kills its process in the step that a file says
LOSS = '''
import os, signal, time
from pathlib import Path
from kit.plugins.loss.cross_entropy import CrossEntropy
from kit.kinds import Loss

asked = 0


class Deadly(Loss):
    """Cross-entropy, and a kill -9."""

    def rows(self, outputs, labels):
        global asked
        asked += outputs.requires_grad
        if Path("kill").exists() and asked == int(Path("kill").read_text()):
            while not Path("runs/r/fold-0/0001-000002").is_dir():  # a thread writes it
                time.sleep(0.01)
            os.kill(os.getpid(), signal.SIGKILL)
        return CrossEntropy().rows(outputs, labels)
'''


@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_killed_with_9_within_an_epoch_resumes_to_the_same_bits(
    competition: Path, workers: int
) -> None:
    (competition / "plugins" / "loss").mkdir(parents=True)
    (competition / "plugins" / "loss" / "deadly.py").write_text(LOSS)
    overrides = ["loss=deadly", "save_every_steps=2", f"workers={workers}"]
    (competition / "kill").write_text("7")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-m", "kit", "train", "--name", "r", "--folds", "0", *overrides]
    process = subprocess.run(command, cwd=competition, env=environment, capture_output=True, timeout=120)
    assert process.returncode == -signal.SIGKILL, process.stderr
    assert checkpoints.within(competition / "runs" / "r" / "fold-0") == [(1, 2)]
    (competition / "kill").unlink()
    train(competition, overrides, name="r", folds=[0])
    train(competition, ["loss=deadly", "workers=0"], name="undisturbed", folds=[0])
    assert same(weights(competition, "r", 0), weights(competition, "undisturbed", 0))
    assert logged(competition, "r", 0) == logged(competition, "undisturbed", 0)
    deadline = time.monotonic() + 20  # a loader process looks every few seconds whether its parent lives
    while left := [e for e in Path("/proc").glob("[0-9]*/cwd") if works_in(e) == competition.resolve()]:
        assert time.monotonic() < deadline, left
        time.sleep(0.2)
