"""--time fits epochs and image size to measured rates; the rates here are given, so that no test depends on time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kit.config.workspace import Workspace
from kit.core.durations import parse_duration, write_duration
from kit.data.table import train_table
from kit.engine.learner import Learner
from kit.engine.step import Update, optimizer_step
from kit.errors import ConfigError
from kit.stages.profiling import speed, time_budget
from kit.stages.profiling.speed import ComputeSetup, Throughput, measure_throughput
from kit.stages.profiling.time_budget import MOST_EPOCHS, OVERHEAD, fit_time


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Sizes in the order they are measured: 32 px train 1,000 images/s and predict 4,000, others by their pixels."""
    sizes: list[int] = []

    def rate(workspace: Workspace, *_: object) -> Throughput:
        size = workspace.experiment.image_size
        sizes.append(size)
        return Throughput(
            ComputeSetup("float32", "contiguous"), 1000 * (32 / size) ** 2, 4000 * (32 / size) ** 2
        )

    monkeypatch.setattr(time_budget, "measure_throughput", rate)
    return sizes


def config(root: Path, size: int) -> dict[str, Any]:
    raw = Workspace.open(root).raw
    return {**raw, "image_size": size, "splitter": {"name": "stratified_kfold", "folds": 5}}


def test_epochs_are_those_that_fit_into_the_time(competition: Path, measured: list[int]) -> None:
    rows = len(train_table(competition))
    epoch = OVERHEAD * (0.8 * rows / 1000 + 0.2 * rows / 4000) * (192 / 32) ** 2  # by hand
    seconds = int(10.5 * epoch) + 1
    fit = fit_time(competition, config(competition, 192), seconds)
    assert (fit.epochs, fit.image_size, measured) == (seconds // epoch, 192, [192])
    assert fit.seconds == pytest.approx(fit.epochs * epoch)
    assert fit_time(competition, config(competition, 192), 10**6).epochs == MOST_EPOCHS


def test_a_smaller_image_is_taken_for_enough_epochs_and_measured(
    competition: Path, measured: list[int]
) -> None:
    rows = len(train_table(competition))
    at_128 = OVERHEAD * (0.8 * rows / 1000 + 0.2 * rows / 4000) * (128 / 32) ** 2
    fit = fit_time(competition, config(competition, 192), int(6.5 * at_128) + 1)
    assert (fit.epochs, fit.image_size, measured) == (6, 128, [192, 128])


def test_one_epoch_of_the_smallest_size_is_the_least(competition: Path, measured: list[int]) -> None:
    fit = fit_time(competition, config(competition, 192), 1)
    assert (fit.image_size, measured) == (96, [192, 96])
    assert fit.epochs >= 1


def test_a_network_of_one_size_keeps_it(competition: Path, measured: list[int]) -> None:
    raw = config(competition, 224) | {"backbone": {"name": "timm", "arch": "vit_tiny_patch16_224"}}
    assert fit_time(competition, raw, 1).image_size == 224
    assert measured == [224]


@pytest.mark.parametrize(("text", "seconds"), [("20m", 1200), ("1h30m", 5400), ("90s", 90), ("2h", 7200)])
def test_times_are_read_and_write_duration(text: str, seconds: int) -> None:
    assert parse_duration(text) == seconds
    assert parse_duration(write_duration(seconds)) == pytest.approx(seconds, abs=30)


@pytest.mark.parametrize("text", ["", "20", "m20", "0m", "20 minutes"])
def test_other_text_is_no_time(text: str) -> None:
    with pytest.raises(ConfigError, match="C05"):
        parse_duration(text)


def test_the_rate_of_a_run_is_measured(competition: Path) -> None:
    rate = measure_throughput(Workspace.open(competition), train_table(competition), steps=1)
    assert rate.train > 0
    assert rate.predict > 0


def test_the_measured_step_leaves_out_the_frozen_parts(
    competition: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stage that freezes the backbone takes no gradients of it, which is most of a step's time."""
    trained = set[str]()

    def watched(learner: Learner, *rest: Any) -> Update[Any]:
        trained.update(name for name, weight in learner.network.named_parameters() if weight.requires_grad)
        return optimizer_step(learner, *rest)

    monkeypatch.setattr(speed, "optimizer_step", watched)
    raw = Workspace.open(competition).raw | {"epochs": 3, "stages": [{"epochs": 1}, {"freeze": ["backbone"]}]}
    measure_throughput(Workspace(competition, raw), train_table(competition), steps=1)
    assert trained
    assert all(name.startswith("head.") for name in trained)
