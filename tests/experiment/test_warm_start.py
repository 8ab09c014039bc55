"""kit train --init-from: a fold begins with the weights of another run's same fold, and with no other's."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from kit.commands._menu import run
from kit.config.workspace import Workspace
from kit.core.progress import finish
from kit.core.stopping import Stop
from kit.engine.learner import Learner
from kit.errors import DataError, KitWarning
from kit.experiment.run_context import RunContext, prepare_run
from kit.model import checkpoints
from kit.runs.run import Run
from kit.stages.training.fold import _FoldContext, _restore_newest
from kit.stages.training.train import train
from tests.drawing import draw_competition


@pytest.fixture
def inside(space: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace with the run `a`: 2 folds, 2 epochs."""
    monkeypatch.chdir(space)
    return space


def first_learner(setting: RunContext, fold: int) -> Learner:
    """A fold's learner before its first step."""
    return _restore_newest(_FoldContext(setting, fold, 0, 1, Stop()))


@pytest.mark.parametrize("start", ["runs/a", "runs/a/fold-1", "runs/a/fold-1/0002"])
def test_a_fold_begins_with_the_other_run_s_weights_and_a_new_optimizer(inside: Path, start: str) -> None:
    workspace = Workspace.find(inside, [f"init_from={start}", "optimizer.lr=0.001"])
    setting = finish(prepare_run(workspace, Run(inside / "runs" / "b")))
    learner, checkpoint = (
        first_learner(setting, 1),
        checkpoints.load(inside / "runs" / "a" / "fold-1" / "0002"),
    )
    assert all(
        torch.equal(value, checkpoint.weights[key]) for key, value in learner.network.state_dict().items()
    )
    assert all(
        torch.equal(value, checkpoint.prediction_weights[key])
        for key, value in learner.predictor.state_dict().items()
    )
    assert (learner.step, learner.epoch, len(learner.optimizer.state)) == (0, 0, 0)


def test_it_trains_resumes_and_is_another_run(inside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["train", "--name", "b", "--init-from", "runs/a", "optimizer.lr=0.001", "epochs=1"]
    assert run(arguments) == 0
    assert run(arguments) == 0
    assert "runs/b is finished" in capsys.readouterr().err
    assert (
        run(["train", "--name", "b", "optimizer.lr=0.001", "epochs=1"]) == 2
    )  # from random weights it is another


@pytest.mark.parametrize(
    ("arguments", "code", "status"),
    [
        (["--init-from", "runs/none"], "C25 init_from 'runs/none' is not a run", 2),
        (
            ["--init-from", "runs/a/fold-0"],
            "C25 init_from 'runs/a/fold-0' is fold 0, but fold 1 will be trained",
            2,
        ),
        (["--init-from", "runs/a/fold-0/0099", "--folds", "0"], "has no checkpoint of fold 0", 2),
        (["--init-from", "runs/a", "split_seed=1"], "D61 runs/a was trained with other folds", 3),
        (["--init-from", "runs/a", "backbone.width=4"], "D53", 3),
    ],
)
def test_what_would_leak_or_does_not_fit_is_refused(
    inside: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: str, status: int
) -> None:
    assert run(["train", "--name", "b", *arguments]) == status
    assert code in capsys.readouterr().err
    assert not list((inside / "runs").glob("b/fold-*/*/manifest.json"))


def test_initial_weights_of_a_run_that_saw_held_out_rows_are_refused(
    inside: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in ("runs/a", "runs/a/fold-1", "runs/a/fold-0/0001"):
        assert run(["train", "--name", "b", f"backbone.weights={path}", "epochs=1"]) == 3
        output = capsys.readouterr().err
        assert "D61 backbone.weights: " in output
        assert "try: init_from=runs/a" in output


def test_a_fold_may_begin_with_a_run_s_weights_that_never_saw_its_rows(inside: Path) -> None:
    workspace = Workspace.find(inside, ["backbone.weights=runs/a/fold-1", "optimizer.lr=0.001"])
    message = r"W71 .*a/fold-1/0002: file 0002/.*safetensors; without the prefix backbone\."
    with pytest.warns(KitWarning, match=message):
        setting = finish(prepare_run(workspace, Run(inside / "runs" / "b")))
    setting.check_starts([1])
    with pytest.warns(KitWarning, match=message):
        learner = first_learner(setting, 1)
    weights = checkpoints.load(inside / "runs" / "a" / "fold-1" / "0002").prediction_weights
    taken = {key: value for key, value in learner.network.state_dict().items() if key.startswith("backbone.")}
    assert taken
    assert all(torch.equal(value, weights[key]) for key, value in taken.items())


def test_another_workspace_s_run_of_other_classes_gives_its_weights(inside: Path, tmp_path: Path) -> None:
    other = draw_competition(tmp_path / "other")
    for table in (other / "data").glob("*.csv"):
        table.write_text(table.read_text().replace("blob", "drop"))
    with pytest.warns(KitWarning, match=r"W71 .*space/runs/a/fold-0/0002: .*not used: .*head"):
        train(other, ["backbone.weights=../space/runs/a"], name="b", folds=[0])
    assert Run(other / "runs" / "b").manifest["provenance"]["plugins"]["backbone/small ema.safetensors"]


def test_an_earlier_notebook_s_run_starts_folds_and_leaks_no_rows(inside: Path, tmp_path: Path) -> None:
    other = draw_competition(tmp_path / "other")
    before = inside / "runs" / "a"
    refused = pytest.raises(DataError, match=r"D61 backbone.weights: .*space/runs/a/fold-0/0002")
    with pytest.warns(KitWarning, match="W71"), refused as caught:
        train(other, [f"backbone.weights={before}"], name="b")
    assert caught.value.hint.startswith(f"init_from={before}, ")
    train(other, [f"init_from={before}", "epochs=1"], name="b", folds=[0])
    assert (other / "runs" / "b" / "fold-0" / "oof.parquet").is_file()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["init_from=runs/none"], "C25 init_from 'runs/none' is not a run"),
        (["init_from=runs/a", "split_seed=1"], "D61 runs/a was trained with other folds"),
        (["init_from=runs/a", "backbone.width=4"], "D53"),
        (["backbone.weights=runs/a"], "D61 backbone.weights"),
    ],
)
def test_a_dry_run_checks_where_the_weights_come_from(
    options: list[str], message: str, inside: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["train", "--name", "b", "--dry-run", *options]) in (2, 3)
    assert message in capsys.readouterr().err
