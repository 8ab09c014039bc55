"""Pruned sweeps: optuna's own decisions, an unpruned sweep's winner, and the same result when resumed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import optuna
import pytest

from kit.commands._menu import run
from kit.config.workspace import Workspace
from kit.core.stopping import Deadline, Stop
from kit.data.predictions import Predictions
from kit.errors import ConfigError, StoppedError
from kit.runs.epoch_log import EpochLog
from kit.runs.records import record
from kit.runs.run import Run
from kit.stages.training import sweep_pruning
from kit.stages.training.fold import FoldDeadline
from kit.stages.training.pausing import pause_point
from kit.stages.training.sweep import SweepResult, run_sweep
from kit.stages.training.sweep_pruning import Reports, find_earliest_look, plan_looks, prunes
from kit.stages.training.train import train_run
from tests.drawing import draw_competition
from tests.slow_steps import oof

SETTINGS = {"metric": "log_loss", "ema_decay": 0, "augmenter": "resize", "batch_size": 6}
RATES = "optimizer.lr=1e-7,1e-6,0.02,1e-5"  # only the third learns anything


@pytest.fixture
def competition(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Classes that differ by brightness, a metric without ties, and looks after few steps."""
    monkeypatch.setattr(sweep_pruning, "MIN_STEPS", 3)
    root = draw_competition(tmp_path / "space", train=36, test=3, **SETTINGS)
    rng = np.random.default_rng(0)
    for file in sorted((root / "data" / "images").glob("*.png")):
        light = 40 + 80 * (int(file.stem) % 3) + rng.integers(-20, 20, (16, 16, 3))
        cv2.imwrite(str(file), light.astype(np.uint8))
    return root


def swept(root: Path, name: str, *axes: str, **options: object) -> SweepResult:
    return run_sweep(name, [*axes, "epochs=4"], start=root, **options)  # type: ignore[arg-type]


def count_epochs(root: Path, name: str) -> int:
    """The epochs that a run's logs have, over all folds."""
    return sum(len(EpochLog.read(file).lines) for file in (root / "runs" / name).glob("fold-*/log.jsonl"))


def comparable(result: SweepResult) -> list[tuple[object, ...]]:
    return [(one.run, one.overrides, one.score, one.pruned, one.pruned_at) for one in result.trials]


@pytest.mark.parametrize("pruner", ["halving", "median"])
@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_one_trial_after_another_is_pruned_as_by_optuna(pruner: str, direction: str) -> None:
    own = {
        "halving": optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=2),
        "median": optuna.pruners.MedianPruner(),
    }[pruner]
    study = optuna.create_study(direction=direction, pruner=own)
    rng, reports, steps = np.random.default_rng(3), list[Reports](), (1, 2, 4, 8)
    for _ in range(24):
        trial, values, stops = study.ask(), dict[int, float](), False
        for step in steps:
            values[step] = float(rng.normal())
            trial.report(values[step], step)
            stops = trial.should_prune()
            assert prunes(pruner, direction == "maximize", reports, values) == stops
            if stops:
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                break
        else:
            study.tell(trial, values[8])
        reports.append(Reports(values, "pruned" if stops else "finished"))
    assert {one.state for one in reports} == {"pruned", "finished"}


def test_the_better_half_of_a_round_continues() -> None:
    values = [0.5, 0.9, 0.1, 0.7, 0.3, 0.8, 0.2]
    for higher in (True, False):
        kept = [
            value
            for place, value in enumerate(values)
            if not prunes(
                "halving",
                higher,
                [Reports({1: other}) for at, other in enumerate(values) if at != place],
                {1: value},
            )
        ]
        assert sorted(kept) == sorted(values, reverse=higher)[:3][:: -1 if higher else 1]


def test_rungs_double_and_are_at_least_an_epoch() -> None:
    assert plan_looks("halving", 8, 30, 1).shares == (1 / 8, 1 / 4, 1 / 2)
    assert plan_looks("halving", 1000, 6, 1).shares == (1 / 4, 1 / 2)
    assert plan_looks("halving", None, 1000, 2).shares == (1 / 16, 1 / 8, 1 / 4, 1 / 2)
    assert plan_looks("halving", 1, 30, 3).shares == ()
    assert plan_looks("median", 8, 30, 1).shares == (1 / 4, 1 / 2, 3 / 4)


def test_looks_after_the_first_fold_are_at_the_ends_of_folds() -> None:
    assert plan_looks("halving", 8, 30, 3).shares == (1 / 8, 1 / 4, 1 / 3)
    assert plan_looks("halving", 16, 50, 5).shares == (1 / 16, 1 / 8, 1 / 5, 2 / 5)
    assert plan_looks("halving", 16, 50, 2).shares == (1 / 16, 1 / 8, 1 / 4, 1 / 2)
    assert plan_looks("median", 8, 30, 2).shares == (1 / 8, 2 / 8, 3 / 8, 1 / 2)


def test_no_look_is_before_30_steps_of_the_first_fold() -> None:
    assert find_earliest_look(steps_per_epoch=5, epochs=8, folds=3) == 6 / 24
    assert find_earliest_look(steps_per_epoch=100, epochs=8, folds=3) == 1 / 24
    assert find_earliest_look(steps_per_epoch=1, epochs=8, folds=3) == 8 / 24  # the fold has ended
    assert plan_looks("halving", 8, 24, 3, 6 / 24).shares == (1 / 4, 1 / 3)
    assert plan_looks("median", 8, 24, 3, 6 / 24).shares == (3 / 12, 1 / 3, 2 / 3)


@pytest.mark.parametrize(
    ("share", "folds", "epochs", "point"),
    [
        (1 / 3, 3, 9, (0, 9)),
        (0.5, 3, 9, (1, 5)),
        (0.01, 3, 9, (0, 1)),
        (2 / 3, 3, 7, (1, 7)),
        (1.0, 3, 9, (2, 9)),
        (1 / 9, 1, 9, (0, 1)),
    ],
)
def test_a_share_of_the_budget_is_an_epoch_of_a_fold(
    share: float, folds: int, epochs: int, point: tuple[int, int]
) -> None:
    assert pause_point(share, folds, epochs) == point


@pytest.mark.parametrize("executor", [None, "in_process"])
def test_a_run_that_pauses_ends_with_the_same_bits(space: Path, executor: str | None) -> None:
    workspace = Workspace.open(space, [] if executor is None else [f"executor={executor}"])
    train_run(workspace, "r", share=0.25)
    assert record(Run(space / "runs/r")).state == "stopped in fold 0 after epoch 1 of 2"
    assert count_epochs(space, "r") == 1
    assert not (space / "runs/r/predictions").exists()
    train_run(workspace, "r", share=0.25)
    assert count_epochs(space, "r") == 1
    train_run(workspace, "r", share=0.75)
    assert record(Run(space / "runs/r")).state == "stopped in fold 1 after epoch 1 of 2"
    assert Predictions.read(space / "runs/r/predictions/plain/oof.parquet").folds.max() == 0
    train_run(workspace, "r")
    assert np.array_equal(oof(space, "r"), oof(space, "a"))


def test_halving_keeps_the_winner_and_saves_half_of_the_epochs(
    competition: Path, inside: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    whole = swept(competition, "w", RATES)
    inside(competition)
    assert run(["sweep", "s", RATES, "epochs=4", "--pruner", "halving", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    best = said["trials"][0]
    assert best["run"] == "s-003"
    assert whole.trials[0].run == "w-003"
    assert np.array_equal(oof(competition, "s-003"), oof(competition, "w-003"))
    assert best["score"] == whole.trials[0].score
    counts = {name: count_epochs(competition, name) for name in ("s-001", "s-002", "s-003", "s-004")}
    assert {trial["run"]: trial["epochs"] for trial in said["trials"]} == counts
    assert said["epochs"] == sum(counts.values()) == 2 + 2 + 4 + 8
    assert said["budget"] == sum(count_epochs(competition, f"w-00{number}") for number in range(1, 5)) == 32
    pruned = said["trials"][1:]
    assert [trial["score"] for trial in pruned] == [None] * 3
    assert all("in fold 0 after epoch" in trial["pruned"] for trial in pruned)
    logged = EpochLog.read(competition / "runs" / pruned[0]["run"] / "fold-0/log.jsonl").lines
    assert pruned[0]["pruned_at"] == logged[-1][said["metric"]]
    assert run(["runs", "ls"]) == 0
    listed = capsys.readouterr().out
    assert "pruned by sweep s in fold 0 after epoch 2 of 4" in " ".join(listed.split())
    assert run(["sweep", "s", RATES, "epochs=4", "--pruner", "halving"]) == 0
    shown = capsys.readouterr()
    assert shown.out.count("pruned") == 3
    assert "16 of 32 epochs trained; 3 of 4 trials pruned" in shown.err
    train_run(Workspace.open(competition, ["optimizer.lr=1e-7", "epochs=4"]), "s-001")
    assert record(Run(competition / "runs/s-001")).state == "finished"


def test_trials_of_few_steps_are_compared_at_the_end_of_a_fold(
    competition: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """12 steps a fold, by a batch of 6 of 18 rows and four epochs."""
    monkeypatch.setattr(sweep_pruning, "MIN_STEPS", 30)
    result = swept(competition, "s", RATES, pruner="halving")
    assert result.trials[0].run == "s-003"
    assert [trial.epochs for trial in result.trials] == [8, 8, 4, 4]


def test_an_interrupted_sweep_prunes_the_same(competition: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = swept(competition, "s", RATES, pruner="halving", stop_folds=True)
    assert whole.pruned_trials
    (competition / "runs").rename(competition / "whole")
    now, measure, stops = [0.0], FoldDeadline.end_step, 0

    def end_step(fold: FoldDeadline) -> None:
        now[0] += 1.0
        measure(fold)

    monkeypatch.setattr(FoldDeadline, "end_step", end_step)
    for _ in range(20):
        try:
            stop = Stop(deadline=Deadline(9, lambda: now[0]))
            result = swept(competition, "s", RATES, pruner="halving", stop_folds=True, stop=stop)
            break
        except StoppedError:
            stops += 1
    assert stops > 3
    assert comparable(result) == comparable(whole)
    assert [trial.epochs for trial in result.trials] == [trial.epochs for trial in whole.trials]


def test_an_executor_prunes_the_same(competition: Path) -> None:
    options = {"pruner": "halving", "stop_folds": True}
    alone = swept(competition, "s", RATES, **options)
    (competition / "runs").rename(competition / "alone")
    assert swept(competition, "s", RATES, executor="in_process", **options) == alone


def test_folds_stop_where_the_interval_excludes_a_gain(competition: Path) -> None:
    rates = "optimizer.lr=1e-7,0.02,0.0200"  # the last two are the same
    result = swept(competition, "s", rates, stop_folds=True)
    states = {trial.run: trial.pruned for trial in result.trials}
    assert states["s-001"].startswith("after 1 of 2 folds: -0.")
    assert "a significant loss against s-00" in states["s-001"]
    assert states["s-002"] == states["s-003"] == ""
    assert count_epochs(competition, "s-001") == 4
    assert record(Run(competition / "runs/s-001")).state == "pruned by sweep s before fold 1"
    table = result.to_frame().set_index("run")
    assert bool(table[result.metric].isna()["s-001"])
    assert table.loc["s-001", "epochs"] == 4
    assert result.failed_trials == ()


def test_a_search_prunes_each_trial_by_the_earlier_ones(competition: Path) -> None:
    axis = "optimizer.lr=log:1e-7..1e-1"
    result = swept(competition, "s", axis, trials=4, pruner="halving")
    more = swept(competition, "s", axis, trials=5, pruner="halving")
    known = {trial.run: trial.overrides for trial in more.trials}
    assert {trial.run: trial.overrides for trial in result.trials}.items() <= known.items()
    assert more.pruned_trials
    backend = optuna.storages.journal.JournalFileBackend(str(competition / "sweeps/s.log"))
    (study,) = optuna.storages.JournalStorage(backend).get_all_studies()
    states = [
        trial.state.name
        for trial in optuna.load_study(
            study_name=study.study_name, storage=optuna.storages.JournalStorage(backend)
        ).trials
    ]
    pruned = {trial.run for trial in more.pruned_trials}
    assert states == ["PRUNED" if f"s-00{place}" in pruned else "COMPLETE" for place in range(1, 6)]


def test_a_trial_that_fails_is_not_pruned(competition: Path) -> None:
    result = swept(competition, "s", "init_from=null,runs/none", pruner="halving")
    assert [(one.run, bool(one.failed), one.pruned) for one in result.trials] == [
        ("s-001", False, ""),
        ("s-002", True, ""),
    ]


def test_what_cannot_be_pruned_is_refused(competition: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"C05 no pruner 'halvin'; did you mean 'halving'"):
        swept(competition, "s", RATES, pruner="halvin")
    swept(competition, "s", "optimizer.lr=0.01", pruner="halving")
    with pytest.raises(ConfigError, match="C11 s.json belongs to another sweep"):
        swept(competition, "s", "optimizer.lr=0.01", pruner="median")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"C24 .*optuna"):
        swept(competition, "t", RATES, pruner="halving")
