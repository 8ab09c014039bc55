"""sweep: a grid or a search of ordinary runs, resumable, compared by pairs."""

from __future__ import annotations

import importlib.util
import json
import shutil
import statistics
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kit.commands._menu import run
from kit.config.workspace import Workspace
from kit.core.progress import Work
from kit.data.predictions import Predictions
from kit.errors import ConfigError, KitError, PluginError
from kit.runs.run import Run
from kit.stages.training.sweep import SweepResult, run_sweep
from kit.stages.training.sweep_space import Range, axis, expand_grid
from kit.stages.training.train import train, train_runs

SPOILED = '''"""Fails when it is asked."""

from kit.kinds import Loss


class Spoiled(Loss):
    """Nothing. Source: this test."""

    def rows(self, outputs, labels):
        raise RuntimeError("spoiled")
'''


def swept(
    root: Path, name: str, *axes: str, trials: int | None = None, executor: str | None = None
) -> SweepResult:
    return run_sweep(name, [*axes, "epochs=1"], trials=trials, start=root, executor=executor)


def oof(root: Path, name: str) -> Predictions:
    return Predictions.read(root / "runs" / name / "predictions/plain/oof.parquet")


@pytest.mark.parametrize(
    ("text", "texts"),
    [
        ("optimizer.lr=0.1,0.2", ("0.1", "0.2")),
        ("epochs=3", ("3",)),
        ('loss={"name":"focal","gamma":1},cutmix', ('{"name":"focal","gamma":1}', "cutmix")),
        ("ensembler.weights=[1,2],[2,1]", ("[1,2]", "[2,1]")),
        ('data.sep=","', ('","',)),
    ],
)
def test_values_are_cut_at_their_own_commas(text: str, texts: tuple[str, ...]) -> None:
    assert axis(text).values == texts


def test_a_range_is_whole_where_both_ends_are() -> None:
    assert axis("epochs=3..9").range == Range(3, 9, False, True)
    assert axis("optimizer.lr=log:1e-4..0.01").range == Range(1e-4, 0.01, True, False)


@pytest.mark.parametrize("text", ["epochs=9..3", "optimizer.lr=log:0..1", "epochs", "=3"])
def test_what_is_no_axis_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="C05"):
        axis(text)


def test_a_grid_is_every_combination_under_every_set() -> None:
    axes = [axis("a=1,2"), axis("b=x,y"), axis("c=0")]
    assert expand_grid(axes, [["d=p"], ["d=q", "e=r"]]) == [
        (*given, f"a={a}", f"b={b}", "c=0")
        for given in (("d=p",), ("d=q", "e=r"))
        for a in (1, 2)
        for b in "xy"
    ]
    with pytest.raises(ConfigError, match="C05 a is a range"):
        expand_grid([axis("a=1..2")])


def test_a_trial_is_the_run_that_kit_train_makes(competition: Path) -> None:
    result = swept(competition, "s", "optimizer.lr=0.001,0.02")
    assert [trial.run for trial in result.trials] in (["s-001", "s-002"], ["s-002", "s-001"])
    train(competition, ["optimizer.lr=0.02", "epochs=1"], name="alone")
    np.testing.assert_array_equal(
        oof(competition, "s-002").probabilities, oof(competition, "alone").probabilities
    )
    best, other = result.trials
    assert best.score is not None
    assert other.score is not None
    assert best.score >= other.score
    assert best.gain_of_best is None
    assert other.gain_of_best is not None
    assert other.gain_of_best.value == pytest.approx(best.score - other.score)
    assert best.changed[0].startswith("optimizer.lr=")
    assert len(best.changed) == 1
    fold_scores = oof(competition, best.run).provenance.require_fold_scores()
    folds = [scores[result.metric] for scores in fold_scores.values()]
    assert best.score_std == pytest.approx(statistics.stdev(folds)), "the sample deviation"


def test_the_same_again_trains_nothing_and_another_of_the_name_is_refused(
    competition: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = swept(competition, "s", "optimizer.lr=0.001,0.02")
    monkeypatch.setattr(sys.modules["kit.stages.training.train"], "prepare_run", None)
    assert swept(competition, "s", "optimizer.lr=0.001,0.02") == first
    with pytest.raises(ConfigError, match=r"C11 s.json belongs to another sweep"):
        swept(competition, "s", "optimizer.lr=0.001,0.03")


def test_where_lower_is_better_the_lowest_is_first(competition: Path) -> None:
    config = json.loads((competition / "config.json").read_text())
    (competition / "config.json").write_text(json.dumps({**config, "metric": "log_loss"}))
    first, second = swept(competition, "s", "optimizer.lr=0.001,0.02").trials
    assert first.score is not None
    assert second.score is not None
    assert first.score <= second.score


def test_a_config_that_cannot_be_stops_the_sweep_before_it_trains(competition: Path) -> None:
    with pytest.raises(PluginError, match="focall"):
        swept(competition, "s", "loss=cross_entropy,focall")
    assert not list((competition / "runs").glob("s-*"))


def test_a_trial_that_fails_is_reported_and_others_go_on(
    competition: Path, inside: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    (competition / "plugins/loss").mkdir(parents=True)
    (competition / "plugins/loss/spoiled.py").write_text(SPOILED)
    inside(competition)
    assert run(["sweep", "s", "loss=cross_entropy,spoiled", "epochs=1", "--json"]) == 5
    out, err = capsys.readouterr()
    assert "1 of 2 trials failed" in err
    trials = json.loads(out)["trials"]
    assert run(["sweep", "s", "loss=cross_entropy,spoiled", "epochs=1"]) == 5, "again, and as a table"
    assert "± sd of folds (ddof 1)" in capsys.readouterr().out
    assert [trial["run"] for trial in trials] == ["s-001", "s-002"]
    assert "spoiled" in trials[1]["failed"]


def test_a_search_that_was_interrupted_continues_as_if_it_had_not_been(competition: Path) -> None:
    axes = ("optimizer.lr=log:1e-3..1e-1", "loss=cross_entropy,focal")
    whole = swept(competition, "whole", *axes, trials=3)
    first = swept(competition, "part", *axes, trials=2)
    assert len(first.trials) == 2
    rest = swept(competition, "part", *axes, trials=3)
    tried = [sorted((t.run[-3:], t.overrides) for t in result.trials) for result in (whole, rest)]
    assert tried[0] == tried[1]
    for trial in whole.trials:
        rate = float(trial.overrides[0].partition("=")[2])
        assert 1e-3 <= rate <= 1e-1


def test_a_search_without_optuna_says_what_to_install(
    competition: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"C24 .*optuna"):
        swept(competition, "s", "optimizer.lr=0.1..0.2", trials=2)


def test_a_grid_by_an_executor_is_the_same_sweep_and_one_that_fails_leaves_the_others(
    competition: Path, inside: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    (competition / "plugins" / "loss").mkdir(parents=True)
    (competition / "plugins" / "loss" / "spoiled.py").write_text(SPOILED)
    inside(competition)
    grid = ["sweep", "g", "loss=cross_entropy,spoiled,focal", "epochs=1", "--json"]
    assert run([*grid, "--executor", "in_process"]) == 5
    said = capsys.readouterr()
    trials = {trial["run"]: trial for trial in json.loads(said.out)["trials"]}
    assert said.err.index("g-003: all folds are trained") < said.err.index("sweep: g-001: loss=")
    assert trials["g-002"]["failed"].startswith("R10 fold 0: RuntimeError: spoiled (2 of 2 folds failed")
    weights = [file.read_bytes() for file in sorted((competition / "runs").glob("g-00[13]/fold-*/*/*.saf*"))]
    for name in ("g-001", "g-003"):
        shutil.rmtree(competition / "runs" / name)
    assert run(grid) == 5
    alone = {trial["run"]: trial for trial in json.loads(capsys.readouterr().out)["trials"]}
    assert alone["g-001"] == trials["g-001"]
    assert alone["g-003"] == trials["g-003"]
    assert weights == [
        file.read_bytes() for file in sorted((competition / "runs").glob("g-00[13]/fold-*/*/*.saf*"))
    ]


def test_a_search_asks_for_as_many_trials_as_there_are_workers(
    competition: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "kit.plugins.executor.in_process.InProcess.parallelism", lambda self, jobs: min(jobs, 3)
    )
    run_counts: list[int] = []

    def note_runs(runs: Sequence[tuple[Workspace, str | None]], *rest: Any) -> Work[list[Run | KitError]]:
        run_counts.append(len(runs))
        return (yield from train_runs(runs, *rest))

    monkeypatch.setattr("kit.stages.training.sweep_trials.train_runs", note_runs)
    result = swept(competition, "s", "optimizer.lr=log:1e-4..1e-1", trials=4, executor="in_process")
    assert run_counts == [3, 1]
    assert len({trial.overrides for trial in result.trials}) == 4
    assert all(trial.score is not None for trial in result.trials)
