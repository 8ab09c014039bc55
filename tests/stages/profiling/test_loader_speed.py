"""kit bench loader: each number of loader processes is measured, and the advice follows the numbers alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from kit.commands._menu import run
from kit.config.workspace import Workspace
from kit.device import memory
from kit.engine import fit
from kit.engine.batches import Batch
from kit.engine.learner import Learner
from kit.stages.profiling import loader_speed
from kit.stages.profiling.loader_speed import LoaderResult, WorkerRate, _powers, measure_loader


def speed_of(used: int, *trained: float) -> LoaderResult:
    """So many images a second with 0, 1, 2, ... workers."""
    rates = tuple(WorkerRate(workers, 1000.0, rate) for workers, rate in enumerate(trained))
    return LoaderResult(32, 20, "cpu", used, rates)


def test_the_fewest_workers_that_are_fast_enough_are_advised() -> None:
    assert speed_of(0, 50.0, 97.0, 100.0).advice() == 1
    assert speed_of(0, 50.0, 90.0, 100.0).advice() == 2


def test_nothing_is_advised_within_the_noise() -> None:
    assert speed_of(0, 96.0, 97.0, 100.0).advice() is None
    assert speed_of(2, 96.0, 97.0, 100.0).advice() is None


def test_it_tries_powers_of_two_up_to_the_cores() -> None:
    assert _powers(2) == [0, 1, 2]
    assert _powers(6) == [0, 1, 2, 4]


def test_the_command_measures_and_leaves_no_run_behind(
    competition: Path, inside: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    inside(competition)
    assert run(["bench", "loader", "--workers", "0,1", "--steps", "3", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [rate["workers"] for rate in report["rates"]] == [0, 1]
    assert all(rate["loaded"] > 0 and rate["trained"] > 0 for rate in report["rates"])
    assert not (competition / "runs").exists()
    assert run(["bench", "loader", "--workers", "0", "--steps", "3"]) == 0
    assert "used, fastest" in capsys.readouterr().out


@pytest.mark.parametrize(("steps", "epochs"), [(3, 3), (30, 10)])  # of 4 steps, after 3 steps of warm-up
def test_a_fit_is_as_long_as_the_timed_steps_need(
    steps: int, epochs: int, competition: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The learning rates of a fit are a list, which a million epochs of a large table do not fit into memory."""
    planned: list[int] = []
    real = fit.fit

    def note_epochs(learner: Learner, stages: Sequence[fit.FitStage], *rest: Any) -> Iterator[fit.Event]:
        planned.extend(stage.epochs for stage in stages)
        return real(learner, stages, *rest)

    monkeypatch.setattr(fit, "fit", note_epochs)
    overrides = ["batch_size=8", "splitter.folds=2"]  # 30 of 60 rows
    result = measure_loader(Workspace.open(competition, overrides), [0], steps)
    assert planned == [epochs] * 2
    assert result.rates[0].trained > 0


def test_a_negative_number_is_refused(competition: Path, inside: Callable[[Path], None]) -> None:
    inside(competition)
    assert run(["bench", "loader", "--workers", "-1"]) == 2


def test_a_gpu_is_waited_for_before_and_after_the_timed_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []

    def work() -> Iterator[int]:
        while True:
            events.append("step")
            yield 4

    monkeypatch.setattr(memory, "wait_for", lambda device: events.append("wait"))
    ((seconds, images),) = loader_speed._time_steps(work(), lambda rows: rows, 2, torch.device("cuda"))
    warm = loader_speed.WARM_UP_STEPS
    assert events == [*["step"] * warm, "wait", "step", "step", "wait"]
    assert images == 8
    assert seconds >= 0


def test_a_gpu_is_measured_with_batches_in_page_locked_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    pinned: list[int] = []

    def noted(self: torch.Tensor) -> torch.Tensor:
        pinned.append(self.dim())
        return self

    monkeypatch.setattr(torch.Tensor, "pin_memory", noted)
    images = torch.zeros(2, 3, 4, 4, dtype=torch.uint8)
    batch = Batch(images, torch.zeros(2, dtype=torch.int64), torch.arange(2))
    assert batch.pin_for(torch.device("cpu")) is batch
    batch.pin_for(torch.device("cuda"))
    assert pinned == [4, 1]
