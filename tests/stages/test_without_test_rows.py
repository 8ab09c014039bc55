"""A competition without rows to predict: everything is scored, nothing is submitted, and no command breaks."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import f1_score

from kit.commands._menu import run
from kit.config.workspace import Workspace
from kit.data.predictions import Predictions
from kit.data.table import rows_to_predict, train_table
from kit.stages.blending.blend import BlendResult, Submitted, blend
from kit.stages.prediction.tta import tta
from tests.drawing import draw_competition

Step = Callable[[Path], None]
Said = pytest.CaptureFixture[str]


def without_test_rows(root: Path) -> Path:
    config = json.loads((root / "config.json").read_text())
    config["data"] = {**config.get("data", {}), "test": None, "sample": None}
    (root / "config.json").write_text(json.dumps(config))
    return root


@pytest.fixture
def practice(space: Path, inside: Step) -> Path:
    """A workspace with the run `a` whose config names no rows to predict; the shell is in it."""
    (space / "runs/a/predictions/plain/test.parquet").unlink(missing_ok=True)
    without_test_rows(space)
    inside(space)
    return space


def test_check_and_report_need_no_rows_to_predict(tmp_path: Path, inside: Step, capsys: Said) -> None:
    root = without_test_rows(draw_competition(tmp_path / "space"))
    inside(root)
    assert run(["check"]) == 3  # the drawn images have near-duplicates across folds (K05)
    assert "60 training rows of 3 classes, 0 test rows" in capsys.readouterr().out
    assert run(["report"]) == 0
    data = json.loads((root / "report.json").read_text())["data"]
    assert (data["train"], data["test"]) == (60, None)
    assert data["findings"] is not None
    assert "no test rows" in (root / "report.html").read_text()


def test_tta_predicts_held_out_rows_alone(practice: Path) -> None:
    (result,) = tta(practice, ["runs/a"], "hflip")
    folder = practice / "runs/a/predictions/hflip"
    assert sorted(path.name for path in folder.iterdir()) == ["oof.parquet"]
    oof = Predictions.read(folder / "oof.parquet")
    assert len(set(oof.ids.tolist())) == 60
    table = train_table(practice, Workspace.open(practice).competition.data).sort_by_id()
    guesses = oof.align(table.ids.tolist()).argmax(axis=1)
    assert result.scores["macro_f1"] == pytest.approx(f1_score(table.labels, guesses, average="macro"))
    assert not tta(practice, ["runs/a"], "hflip")[0].computed


def test_a_policy_is_learned_and_scored(practice: Path, capsys: Said) -> None:
    assert run(["tta", "-c", "runs/a", "--views", "hflip", "--choose-views", "greedy"]) == 0
    assert run(["blend", "a@hflip-greedy"]) == 0
    assert not (practice / "runs/a/predictions/hflip-greedy/test.parquet").exists()


def test_blend_scores_and_writes_no_file(practice: Path, capsys: Said) -> None:
    tta(practice, ["runs/a"], "hflip")
    result = blend(Workspace.open(practice), ["a", "a@hflip"])
    assert isinstance(result, BlendResult)
    assert not isinstance(result, Submitted)
    assert result.rows == 60
    capsys.readouterr()
    assert run(["blend", "a", "a@hflip"]) == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert "no file was written, because data.sample is null" in said.err
    assert run(["blend", "a", "a@hflip", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["cv"] == pytest.approx(result.cv)
    assert not (practice / "submissions").exists() or not list((practice / "submissions").glob("*.csv"))
    assert run(["board"]) == 0


def test_embeddings_are_retrieved_from_and_trained_on(practice: Path, capsys: Said) -> None:
    assert run(["embed", "--checkpoints", "runs/a"]) == 0
    assert "60 training and 0 test rows" in capsys.readouterr().err
    for scorer in ("power", "mixture"):
        assert run(["retrieve", "runs/a", "--scorer", scorer]) == 0
    capsys.readouterr()
    folders = sorted(path.name for path in (practice / "runs/a/predictions").glob("plain-*"))
    assert len(folders) == 2
    for folder in folders:
        assert [path.name for path in (practice / "runs/a/predictions" / folder).iterdir()] == ["oof.parquet"]
        assert run(["blend", f"a@{folder}"]) == 0
    assert run(["embed", "--untrained", "e"]) == 0
    overrides = ["backbone=embeddings", "backbone.run=e", "epochs=2"]
    assert run(["train", "--name", "h", *overrides]) == 0
    assert not (practice / "runs/h/predictions/plain/test.parquet").exists()
    assert run(["blend", "h"]) == 0


@pytest.mark.parametrize(
    "command",
    [
        ["final", "a"],
        ["bundle", "a", "--out", "bundle"],
        ["pseudo-labels", "a"],
    ],
)
def test_what_needs_rows_to_predict_names_the_keys(practice: Path, capsys: Said, command: list[str]) -> None:
    assert run(command) == 2
    said = capsys.readouterr().err
    assert "error: C07" in said
    assert "data.sample=FILE" in said


def test_a_table_that_names_none_has_no_rows(practice: Path) -> None:
    data = Workspace.open(practice).competition.data
    assert len(rows_to_predict(practice, data, ("a", "b"))) == 0
    table = train_table(practice, data)
    assert len(table.take([])) == 0
    assert len(table.take(np.zeros(60, bool))) == 0
