"""kit train --from: a fold begins with the weights of another run's same fold, and with no other's."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from kit.commands._menu import run
from kit.config.workspace import Workspace
from kit.core.progress import finish
from kit.experiment.run_context import prepare_run
from kit.model import checkpoints
from kit.runs.run import Run
from kit.stages.training.fold import _newest


@pytest.fixture
def inside(space: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace with the run `a`: 2 folds, 2 epochs."""
    monkeypatch.chdir(space)
    return space


@pytest.mark.parametrize("start", ["runs/a", "runs/a/fold-1", "runs/a/fold-1/0002"])
def test_a_fold_begins_with_the_other_run_s_weights_and_a_new_optimizer(inside: Path, start: str) -> None:
    workspace = Workspace.find(inside, [f"start_from={start}", "optimizer.lr=0.001"])
    setting = finish(prepare_run(workspace, Run(inside / "runs" / "b")))
    learner, found = _newest(setting, 1), checkpoints.load(inside / "runs" / "a" / "fold-1" / "0002")
    assert all(torch.equal(value, found.weights[key]) for key, value in learner.network.state_dict().items())
    assert all(
        torch.equal(value, found.prediction_weights[key])
        for key, value in learner.predictor.state_dict().items()
    )
    assert (learner.step, learner.epoch, len(learner.optimizer.state)) == (0, 0, 0)


def test_it_trains_resumes_and_is_another_run(inside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["train", "--name", "b", "--from", "runs/a", "optimizer.lr=0.001", "epochs=1"]
    assert run(asked) == 0
    assert run(asked) == 0
    assert "runs/b is finished" in capsys.readouterr().err
    assert (
        run(["train", "--name", "b", "optimizer.lr=0.001", "epochs=1"]) == 2
    )  # from random weights it is another


@pytest.mark.parametrize(
    ("arguments", "code", "status"),
    [
        (["--from", "runs/none"], "C25 start_from 'runs/none' is no run", 2),
        (
            ["--from", "runs/a/fold-0"],
            "C25 start_from 'runs/a/fold-0' is of fold 0, and fold 1 is to be trained",
            2,
        ),
        (["--from", "runs/a/fold-0/0099", "--folds", "0"], "has no checkpoint of fold 0", 2),
        (["--from", "runs/a", "split_seed=1"], "D61 runs/a was trained with other folds", 3),
        (["--from", "runs/a", "backbone.width=4"], "D53", 3),
    ],
)
def test_what_would_leak_or_does_not_fit_is_refused(
    inside: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: str, status: int
) -> None:
    assert run(["train", "--name", "b", *arguments]) == status
    assert code in capsys.readouterr().err
    assert not list((inside / "runs").glob("b/fold-*/*/manifest.json"))
