"""The deadline of --time: training stops in time, saved, says what is left, and resumes to the same bits."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from kit.commands._menu import run
from kit.config.workspace import Workspace
from kit.core.stopping import Deadline, Stop
from kit.device.ranks import ALONE
from kit.errors import ConfigError, StoppedError
from kit.model import checkpoints
from kit.runs.run import Run
from kit.stages.training.fold import FoldDeadline
from kit.stages.training.remaining import describe_remaining
from kit.stages.training.sweep import run_sweep
from kit.stages.training.train import train, train_run
from tests.slow_steps import check_deadline, oof


@pytest.fixture
def after(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], Deadline]:
    """Makes a deadline by a clock that moves by a second at each training step."""
    now, measure = [0.0], FoldDeadline.end_step

    def end_step(fold: FoldDeadline) -> None:
        now[0] += 1.0
        measure(fold)

    monkeypatch.setattr(FoldDeadline, "end_step", end_step)
    return lambda steps: Deadline(steps, lambda: now[0])


def test_a_run_that_is_stopped_again_and_again_ends_with_the_same_bits(
    space: Path, after: Callable[[float], Deadline]
) -> None:
    workspace, stops = Workspace.open(space), list[tuple[str, int, str]]()
    for _ in range(30):
        try:
            train_run(workspace, "r", stop=Stop(deadline=after(2)))
            break
        except StoppedError as error:
            stops.append((error.code, error.exit_code, error.hint))
    assert set(stops) == {("R27", 6, "run the same command again to resume")}
    assert 3 < len(stops) < 25
    assert np.array_equal(oof(space, "r"), oof(space, "a"))
    logs = [(space / "runs" / name / "fold-1" / "log.jsonl").read_text() for name in ("r", "a")]
    losses = [[json.loads(line)["train_loss"] for line in log.splitlines()] for log in logs]
    assert losses[0] == losses[1]


def test_the_command_exits_with_6_and_says_what_is_left(
    space: Path,
    inside: Callable[[Path], None],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    after: Callable[[float], Deadline],
) -> None:
    inside(space)
    monkeypatch.setattr("kit.commands.train.parse_time", lambda text: after(6))
    assert run(["train", "--name", "r", "--time", "8h30m"]) == 6
    said = capsys.readouterr().err
    assert "error: R27 the time is over: stopped after fold 0 epoch " in said
    assert "fold 1: 2 epochs" in said
    assert "try: run the same command again to resume" in said
    monkeypatch.undo()
    inside(space)
    assert run(["train", "--name", "r", "--time", "8h30m"]) == 0


def test_a_time_that_ends_before_the_first_step_loses_nothing_and_says_what_to_try(competition: Path) -> None:
    ticks = count()
    images = Deadline(30, lambda: next(ticks))
    with pytest.raises(
        StoppedError, match="R27 the time is over: stopped while runs/r was prepared"
    ) as caught:
        train_run(Workspace.open(competition), "r", stop=Stop(deadline=images))
    assert "if it stops here again, give more time" in caught.value.hint
    assert not (competition / "runs" / "r" / "fold-0").exists()
    assert list((competition / "cache").glob("*/index.npz"))  # images that were read are kept
    train(competition, name="r")


def test_a_text_that_is_not_a_time_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="C05 'soon' is not a time"):
        train(tmp_path / "nowhere", time="soon")


def test_folds_of_an_executor_stop_too(space: Path, after: Callable[[float], Deadline]) -> None:
    workspace = Workspace.open(space, ["executor=in_process"])
    with pytest.raises(StoppedError, match="R27 the time is over: stopped with 2 folds left") as caught:
        train_run(workspace, "r", stop=Stop(deadline=after(2)))
    assert caught.value.exit_code == 6
    train_run(workspace, "r")
    assert np.array_equal(oof(space, "r"), oof(space, "a"))


def test_folds_in_other_processes_stop_too(competition: Path) -> None:
    check_deadline(competition, '{"name": "processes", "workers": 2, "threads": 1}')


def test_the_margin_is_twice_the_longest_step_and_save_and_two_seconds() -> None:
    now = [0.0]
    deadline = Deadline(100.0, lambda: now[0])
    deadline.longest_step_s, deadline.longest_save_s = 3.0, 5.0
    assert deadline.margin == 18.0
    now[0] = 82.0
    assert not deadline.is_due()
    assert deadline.is_due(0.5)
    now[0] = 82.5
    assert deadline.is_due()
    assert Stop(deadline=deadline).requested == 1
    assert Deadline(5.0).margin == 0.5  # a tenth of a short time


def test_a_validation_that_may_not_fit_is_preceded_by_a_checkpoint() -> None:
    now = [0.0]
    deadline = Deadline(100.0, lambda: now[0])
    fold = FoldDeadline(Stop(deadline=deadline), ALONE)
    assert fold.saves_before(1.0)  # no validation was measured
    deadline.longest_validation_s = 10.0
    assert not fold.saves_before(10.0)
    assert fold.requested(10.0) == 0
    now[0] = 70.0
    assert fold.saves_before(10.0)  # three of them do not fit
    assert fold.requested(10.0) == 0
    now[0] = 90.0
    assert fold.requested(10.0) == 1  # TIME_OVER
    assert not FoldDeadline(Stop(), ALONE).saves_before(10.0)


def test_a_deadline_in_the_validation_continues_from_the_epochs_last_step(
    space: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    deadline = Deadline(100.0, lambda: now[0])
    shown = []
    work = train_run.with_progress(Workspace.open(space), "r", stop=Stop(deadline=deadline))
    with pytest.raises(StoppedError, match="stopped while validating fold 0 epoch 1/2, saved before"):
        for step in work:
            shown.append(step.detail)
            if step.detail.endswith("validating"):
                now[0] = 99.9
    assert checkpoints.within(space / "runs" / "r" / "fold-0") == [(0, 4)]
    train(space, name="r")
    assert np.array_equal(oof(space, "r"), oof(space, "a"))


def test_what_is_left_is_reported_by_fold_and_at_the_pace_of_the_log(space: Path) -> None:
    stopped_run = Run(space / "runs" / "a")
    assert describe_remaining(stopped_run, 2) == []
    log = stopped_run.fold(0) / "log.jsonl"
    line = json.loads(log.read_text().splitlines()[0])
    log.write_text(json.dumps({**line, "seconds": 60.0}) + "\n")
    (stopped_run.fold(1) / "log.jsonl").unlink()
    for fold in (0, 1):
        stopped_run.fold_predictions_file(fold).unlink()
    assert describe_remaining(stopped_run, 11) == [
        "about 21m left at the pace of the logged epochs",
        "fold 0: 10 of 11 epochs left",
        "fold 1: 11 epochs",
    ]
    assert describe_remaining(Run(space / "runs" / "none"), 11) == []


def test_a_sweep_says_how_many_trials_are_left(space: Path, after: Callable[[float], Deadline]) -> None:
    axes = ["optimizer.lr=0.001,0.002,0.003"]
    with pytest.raises(StoppedError, match="R27 the time is over") as caught:
        run_sweep("s", axes, start=space, stop=Stop(deadline=after(20)))
    assert str(caught.value.cases[0]) == "2 trials left, from s-002 on"
    assert str(caught.value.cases[-1]) == "s-002: folds 0, 1: 2 epochs"
    assert caught.value.exit_code == 6
    assert run_sweep("s", axes, start=space).failed_trials == ()
