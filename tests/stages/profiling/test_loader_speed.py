"""kit bench loader: each number of loader processes is measured, and the advice follows the numbers alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from kit.commands._menu import run
from kit.stages.profiling.loader_speed import LoaderResult, WorkerRate, _powers


def found(used: int, *trained: float) -> LoaderResult:
    """So many images a second with 0, 1, 2, ... workers."""
    rates = tuple(WorkerRate(workers, 1000.0, rate) for workers, rate in enumerate(trained))
    return LoaderResult(32, 20, "cpu", used, rates)


def test_the_fewest_workers_that_are_fast_enough_are_advised() -> None:
    assert found(0, 50.0, 97.0, 100.0).advice() == 1
    assert found(0, 50.0, 90.0, 100.0).advice() == 2


def test_nothing_is_advised_within_the_noise() -> None:
    assert found(0, 96.0, 97.0, 100.0).advice() is None
    assert found(2, 96.0, 97.0, 100.0).advice() is None


def test_it_tries_powers_of_two_up_to_the_cores() -> None:
    assert _powers(2) == [0, 1, 2]
    assert _powers(6) == [0, 1, 2, 4]


def test_the_command_measures_and_leaves_no_run_behind(
    competition: Path, inside: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    inside(competition)
    assert run(["bench", "loader", "--workers", "0,1", "--steps", "3", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [rate["workers"] for rate in told["rates"]] == [0, 1]
    assert all(rate["loaded"] > 0 and rate["trained"] > 0 for rate in told["rates"])
    assert not (competition / "runs").exists()
    assert run(["bench", "loader", "--workers", "0", "--steps", "3"]) == 0
    assert "used, fastest" in capsys.readouterr().out


def test_a_negative_number_is_refused(competition: Path, inside: Callable[[Path], None]) -> None:
    inside(competition)
    assert run(["bench", "loader", "--workers", "-1"]) == 2
