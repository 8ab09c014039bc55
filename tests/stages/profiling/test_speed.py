"""kit bench network: every way is measured, what a run uses is marked, and the advice follows the numbers alone."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
from torch import Tensor

from kit.commands._menu import run
from kit.device.precision import Precision
from kit.engine.batches import Batch
from kit.engine.learner import Learner
from kit.engine.step import StepPlan, Update, optimizer_step
from kit.kinds import Loss
from kit.stages.profiling import speed
from kit.stages.profiling.speed import ComputeSetup, SpeedResult, Throughput

SLOW, FAST = ComputeSetup("float32", "contiguous"), ComputeSetup("bfloat16", "channels_last")
USED = Precision("float32", "float32", "contiguous")


def result_of(*rates: Throughput, used: Precision = USED) -> SpeedResult:
    return SpeedResult("net", 128, 32, 10, "cpu", 2, 1000, used, rates)


def four(**changed: tuple[float, float]) -> SpeedResult:
    """Rates of the four ways, all 100 and 200 but for what is named `<dtype>_<layout>`."""
    ways = [
        ComputeSetup(dtype, layout)
        for layout in ("contiguous", "channels_last")
        for dtype in ("float32", "bfloat16")
    ]
    return result_of(
        *(Throughput(way, *changed.get(f"{way.dtype}_{way.memory_format}", (100.0, 200.0))) for way in ways)
    )


def test_nothing_is_advised_within_the_noise() -> None:
    assert four(bfloat16_channels_last=(104.0, 209.0)).advice() == ()


def test_the_advice_is_what_trains_fastest_and_predicts_fastest_in_its_layout() -> None:
    rates = four(bfloat16_channels_last=(120.0, 150.0), bfloat16_contiguous=(90.0, 900.0))
    assert rates.advice() == ("precision=bfloat16", "memory_format=channels_last")
    assert rates.predicts_fastest.way == ComputeSetup("bfloat16", "contiguous")
    assert four(bfloat16_contiguous=(90.0, 900.0)).advice() == ("predict_precision=bfloat16",)


def test_compiling_pays_off_after_the_images_that_save_its_seconds() -> None:
    """50 seconds at 100 images/s and 125 after: 0.01 - 0.008 = 0.002 seconds an image, 25,000 images."""
    plain, compiled = Throughput(SLOW, 100.0, 1.0), ComputeSetup("float32", "contiguous", True)
    assert result_of(plain, Throughput(compiled, 125.0, compiling=50.0)).break_even() == pytest.approx(25_000)
    assert result_of(plain, Throughput(compiled, 90.0, compiling=50.0)).break_even() == math.inf
    assert result_of(plain, Throughput(compiled, failed="no compiler")).break_even() is None
    assert result_of(plain).break_even() is None


def test_the_command_measures_every_way_and_changes_nothing(
    competition: Path, inside: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    inside(competition)
    before = sorted(competition.rglob("*"))
    assert run(["bench", "network", "--steps", "3", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["used"] == {"train": "float32", "predict": "float32", "memory_format": "channels_last"}
    assert report["batch_size"] == 8
    assert {rate["way"]["memory_format"] for rate in report["rates"]} == {"contiguous", "channels_last"}
    assert all(rate["train"] > 0 and rate["predict"] > 0 for rate in report["rates"])
    assert sorted(competition.rglob("*")) == before


def test_the_table_marks_what_is_used_and_what_is_fastest(
    competition: Path, inside: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    inside(competition)
    assert run(["bench", "network", "memory_format=contiguous", "--steps", "3", "--batch-size", "4"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("small, 16 px, batch 4, cpu, 1 thread")
    assert sum("fastest" in line.split() or "fastest" in line for line in said.splitlines()[2:-1]) in (1, 2)
    assert [line.split()[:2] for line in said.splitlines() if " used" in line] == [["float32", "contiguous"]]


def test_a_way_that_fails_is_reported_and_left_alone(
    competition: Path,
    inside: Callable[[Path], None],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def failing(
        learner: Learner, loss: Loss, batch: Batch, plan: StepPlan, precision: Precision, progress: float
    ) -> Update[tuple[Tensor, Tensor]]:
        if precision.train == "bfloat16":
            raise RuntimeError("no kernel for it\nand more")
        return optimizer_step(learner, loss, batch, plan, precision, progress)

    monkeypatch.setattr(speed, "optimizer_step", failing)
    monkeypatch.setattr(speed, "dtypes", lambda device: ("float32", "bfloat16"))
    inside(competition)
    assert run(["bench", "network", "--steps", "3"]) == 0
    failed = [line.split() for line in capsys.readouterr().out.splitlines() if "fails" in line]
    assert [" ".join(line) for line in failed] == [
        "bfloat16 contiguous fails no kernel for it",
        "bfloat16 channels_last fails no kernel for it",
    ]
