"""Predictions of another framework become members: checked like kit's own, and without folds never scored."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import cross_val_predict

from kit.commands._menu import run
from kit.config.workspace import Workspace
from kit.core.files import StrPath
from kit.data.predictions import Predictions
from kit.errors import ConfigError, DataError, InvalidError, KitError, KitWarning
from kit.runs.records import record
from kit.runs.run import Run, find_run
from kit.stages.blending.blend import BlendResult, Submitted, blend
from kit.stages.blending.unscored import UnscoredSubmission
from kit.stages.sharing.fold_file import show_folds
from kit.stages.sharing.foreign import ForeignMember, import_predictions, warn_of_surer_rows
from kit.stages.submission.board import Board
from tests.written_runs import CLASSES, FOLDS, LABELS, TEST, TRAIN, competition

WIDE = {"header": "id,ant,bee,cat", "cells": ",0.2,0.3,0.5"}


def distinct(root: Path, **config: Any) -> Workspace:
    """The competition, its images no copies of one another."""
    space = competition(root, **config)
    for path in (root / "data" / "images").glob("*.png"):
        path.write_bytes(path.name.encode())
    return space


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return distinct(tmp_path, **WIDE)


def table(ids: Sequence[str], seed: int = 0) -> pd.DataFrame:
    """Random distributions over the classes."""
    shares = np.random.default_rng(seed).dirichlet(np.ones(3), len(ids))
    return pd.DataFrame({"id": list(ids), **dict(zip(CLASSES, shares.T, strict=True))})


def write(workspace: Workspace, frame: pd.DataFrame, name: str) -> Path:
    path = workspace.root / name
    frame.to_csv(path, index=False)
    return path


@pytest.fixture
def test_csv(workspace: Workspace) -> Path:
    return write(workspace, table(TEST, 1), "test.csv")


def oof_csv(workspace: Workspace, folds: Sequence[int] | None = FOLDS, **columns: Sequence[float]) -> Path:
    frame = table(TRAIN).assign(**columns)
    return write(workspace, frame if folds is None else frame.assign(fold=list(folds)), "oof.csv")


def bring(
    workspace: Workspace, test: Path, oof: Path | None = None, folds: StrPath | None = None
) -> ForeignMember:
    return import_predictions(workspace, test, "lgbm", oof, folds)


def fails(
    workspace: Workspace, code: str, test: Path, oof: Path | None = None, folds: StrPath | None = None
) -> KitError:
    """The error of an import that leaves nothing behind."""
    with pytest.raises(KitError) as caught:
        bring(workspace, test, oof, folds)
    assert caught.value.code == code, caught.value
    assert not (workspace.runs / "lgbm").exists()
    assert not (workspace.runs / ".import.part").exists()
    return caught.value


def test_the_scores_of_an_import_are_those_of_scikit_learn(workspace: Workspace, test_csv: Path) -> None:
    oof = oof_csv(workspace)
    result = bring(workspace, test_csv, oof)
    shares = table(TRAIN)[list(CLASSES)].to_numpy()
    assert result.scores["accuracy"] == accuracy_score(LABELS, np.array(CLASSES)[shares.argmax(1)])
    assert result.scores["log_loss"] == pytest.approx(log_loss(LABELS, shares), abs=1e-6)
    assert (result.oof_rows, result.test_rows, result.folds, result.is_new) == (9, 4, 3, True)
    assert result.same_folds == ("a", "b")
    assert record(Run(workspace.runs / "lgbm")).state == "imported"


def test_a_blend_with_an_import_is_the_mean_by_hand(workspace: Workspace, test_csv: Path) -> None:
    bring(workspace, test_csv, oof_csv(workspace))
    submission = blend(workspace, ["runs/a", "runs/lgbm"])
    assert isinstance(submission, Submitted)
    own = Predictions.read(workspace.runs / "a/predictions/plain/test.parquet").mean().align(TEST)
    wanted = (own + table(TEST, 1)[list(CLASSES)].to_numpy()) / 2
    read = pd.read_csv(submission.path, dtype={"id": str}, keep_default_na=False).set_index("id")
    np.testing.assert_allclose(read.loc[list(TEST), list(CLASSES)].to_numpy(float), wanted, atol=1e-6)


def test_columns_are_found_by_name_and_rows_by_id(workspace: Workspace, test_csv: Path) -> None:
    first = bring(workspace, test_csv, oof_csv(workspace))
    shuffled = table(TRAIN).assign(fold=list(FOLDS), target="x").sample(frac=1, random_state=0)
    oof = write(workspace, shuffled[["cat", "target", "fold", "ant", "id", "bee"]], "oof2.csv")
    other = import_predictions(workspace, test_csv, "again", oof)
    assert other.scores == first.scores
    assert other.notes == ("oof2.csv: columns not read: target",)


def test_parquet_gives_the_same(workspace: Workspace, test_csv: Path) -> None:
    first = bring(workspace, test_csv, oof_csv(workspace))
    table(TRAIN).assign(fold=list(FOLDS)).to_parquet(workspace.root / "oof.parquet")
    table(TEST, 1).set_index("id").to_parquet(workspace.root / "test.parquet")
    result = import_predictions(
        workspace, workspace.root / "test.parquet", "p", workspace.root / "oof.parquet"
    )
    assert result.scores == first.scores


def test_folds_may_come_from_a_file_or_a_run(workspace: Workspace, test_csv: Path) -> None:
    oof = oof_csv(workspace, None)
    show_folds(workspace, "runs/a", workspace.root / "folds.csv")
    by_file = import_predictions(workspace, test_csv, "f", oof, workspace.root / "folds.csv")
    by_run = import_predictions(workspace, test_csv, "g", oof, "runs/a")
    assert by_file.scores == by_run.scores
    assert by_file.same_folds == ("a", "b")
    assert by_run.same_folds == ("a", "b", "f")


def test_other_folds_are_named(workspace: Workspace, test_csv: Path) -> None:
    result = bring(workspace, test_csv, oof_csv(workspace, [2 - fold for fold in FOLDS]))
    assert (result.same_folds, result.other_folds) == ((), ("a", "b"))


def test_a_sample_of_one_column_is_read_as_the_sample_means_it(tmp_path: Path) -> None:
    workspace = distinct(tmp_path, header="id,bee", cells=",0.5", format="binary_probability", metric="auc")
    train = workspace.root / "data" / "train.csv"
    train.write_text(train.read_text().replace("cat", "ant"))
    oof = write(workspace, pd.DataFrame({"id": TRAIN, "bee": np.linspace(0, 1, 9), "fold": FOLDS}), "oof.csv")
    test = write(workspace, pd.DataFrame({"id": TEST, "bee": [0.1, 0.2, 0.3, 0.4]}), "test.csv")
    import_predictions(workspace, test, "lgbm", oof)
    predictions = Predictions.read(workspace.runs / "lgbm/predictions/plain/test.parquet")
    assert predictions.classes == ("ant", "bee")
    np.testing.assert_allclose(predictions.align(TEST)[:, 1], [0.1, 0.2, 0.3, 0.4], rtol=1e-6)
    np.testing.assert_allclose(predictions.probabilities.sum(axis=1), 1)


def test_an_import_of_the_same_files_again_changes_nothing(workspace: Workspace, test_csv: Path) -> None:
    oof = oof_csv(workspace)
    bring(workspace, test_csv, oof)
    before = {path: path.stat().st_mtime_ns for path in (workspace.runs / "lgbm").rglob("*")}
    assert not bring(workspace, test_csv, oof).is_new
    assert before == {path: path.stat().st_mtime_ns for path in (workspace.runs / "lgbm").rglob("*")}
    write(workspace, table(TEST, 2), "test.csv")
    with pytest.raises(ConfigError, match="is another run"):
        bring(workspace, test_csv, oof)


def test_without_folds_there_is_no_score_and_no_fitted_blend(workspace: Workspace, test_csv: Path) -> None:
    result = bring(workspace, test_csv, oof_csv(workspace, None))
    assert (result.folds, result.scores, result.oof_rows) == (0, {}, 0)
    assert record(Run(workspace.runs / "lgbm")).state == "imported without folds"
    with pytest.raises(ConfigError, match="is fitted on out-of-fold rows") as caught:
        blend(workspace, ["runs/a", "runs/lgbm"], "hill_climb")
    assert caught.value.code == "C80"
    weighted = {"name": "weighted", "weights": [3, 1]}
    blended = blend(workspace, ["runs/a", "runs/lgbm"], weighted)
    assert isinstance(blended, UnscoredSubmission)
    assert not isinstance(blended, BlendResult)
    own = Predictions.read(workspace.runs / "a/predictions/plain/test.parquet").mean().align(TEST)
    wanted = (3 * own + table(TEST, 1)[list(CLASSES)].to_numpy()) / 4
    read = pd.read_csv(blended.path, dtype={"id": str}, keep_default_na=False).set_index("id")
    np.testing.assert_allclose(read.loc[list(TEST), list(CLASSES)].to_numpy(float), wanted, atol=1e-6)
    (entry,) = Board.read(workspace.submissions).entries
    assert (entry.cv, entry.rows) == (None, 0)
    again = blend(workspace, ["runs/a", "runs/lgbm"], weighted)
    assert isinstance(again, UnscoredSubmission)
    assert (again.number, again.is_new) == (1, False)


def test_folds_that_separate_a_group_are_refused(workspace: Workspace, test_csv: Path) -> None:
    error = fails(workspace, "D43", test_csv, oof_csv(workspace, [0, 1, 2] * 3))
    assert "separate 3 of 3 groups" in error.summary


def test_a_row_predicted_by_a_model_that_trained_on_it_is_refused(
    workspace: Workspace, test_csv: Path
) -> None:
    oof = oof_csv(workspace, [0, 0, 0, 1, 1, 1, 2, 2, 0])
    error = fails(workspace, "D43", test_csv, oof, folds="runs/a")
    assert [case.id for case in error.cases] == ["t8"]


def test_a_fold_that_holds_out_all_rows_is_refused(workspace: Workspace, test_csv: Path) -> None:
    assert "trained on none" in fails(workspace, "D43", test_csv, oof_csv(workspace, [0] * 9)).summary


def test_copies_in_different_folds_are_a_warning(workspace: Workspace, test_csv: Path) -> None:
    images = workspace.root / "data" / "images"
    (images / "t8.png").write_bytes((images / "t0.png").read_bytes())
    with pytest.warns(
        KitWarning, match="W80 1 images are byte-for-byte copies of images in other folds.*: t8"
    ):
        bring(workspace, test_csv, oof_csv(workspace))


def test_rows_far_surer_than_test_rows_are_a_warning() -> None:
    """In-sample probabilities of a forest, and its cross-fitted ones, against those of rows it never saw."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 400)
    signal = np.eye(3)[truth] + rng.normal(size=(400, 3))
    train, test = np.arange(250), np.arange(250, 400)
    forest = RandomForestClassifier(50, random_state=0)
    cross_fitted = cross_val_predict(forest, signal[train], truth[train], cv=5, method="predict_proba")
    forest.fit(signal[train], truth[train])

    def rows_of(rows: np.ndarray, shares: np.ndarray) -> Predictions:
        return Predictions(rows.astype(str), rows * 0, CLASSES, shares.astype(np.float32))

    unseen = rows_of(test, forest.predict_proba(signal[test]))
    with pytest.warns(KitWarning, match="W81 out-of-fold rows are far more confident"):
        warn_of_surer_rows(rows_of(train, forest.predict_proba(signal[train])), unseen)
    warn_of_surer_rows(rows_of(train, cross_fitted), unseen)


LOGITS = {"ant": [-3.0] * 4, "bee": [2.5] * 4, "cat": [7.0] * 4}


@pytest.mark.parametrize(
    ("change", "code", "text"),
    [
        (lambda frame: frame.assign(**LOGITS), "D40", "these look like logits: write the softmax"),
        (lambda frame: frame.assign(ant=30, bee=30, cat=40), "D40", "these look like percentages"),
        (lambda frame: frame.assign(ant=0.9, bee=0.9, cat=0.9), "D40", "divide each row by its sum"),
        (lambda frame: frame.assign(ant=np.nan), "D40", "not finite numbers"),
        (lambda frame: frame.assign(ant="high"), "D40", "not finite numbers"),
        (lambda frame: frame.assign(ant=np.inf), "D40", "not finite numbers"),
        (lambda frame: pd.concat([frame, frame[:1]]), "D41", "the id of another row"),
        (lambda frame: frame[1:], "D41", "1 missing, 0 extra"),
        (lambda frame: frame.assign(id=["7", "1e5", "NA", "a,b"]), "D41", "read them as text"),
        (lambda frame: frame.assign(id=[f"{name}.jpg" for name in TEST]), "D41", "remove the file extension"),
        (lambda frame: frame.assign(id=["", *TEST[1:]]), "D41", "a blank id"),
        (lambda frame: frame.drop(columns="cat"), "D42", "lacks the columns of 1 of 3 classes"),
        (lambda frame: frame.rename(columns={"cat": "cats"}), "D42", "did you mean 'cats'"),
        (lambda frame: frame.rename(columns={"id": "name"}), "C07", "has no column 'id'"),
        (lambda frame: frame.assign(fold=[0, 1, 2, 7]), "D43", "has fold 7, but the folds are 0 to 2"),
        (lambda frame: frame.assign(fold=["a", 1, 2, 0]), "D43", "not fold numbers"),
    ],
)
def test_what_is_wrong_with_a_table_is_said_before_anything_is_written(
    workspace: Workspace, change: Callable[[pd.DataFrame], pd.DataFrame], code: str, text: str
) -> None:
    changed = change(table(TEST, 1))
    error = fails(workspace, code, write(workspace, changed, "test.csv"), oof_csv(workspace))
    assert text in str(error), error


def test_damaged_files_are_errors(workspace: Workspace, test_csv: Path) -> None:
    assert fails(workspace, "D21", workspace.root / "nothing.csv").exit_code == DataError.exit_code
    (workspace.root / "cut.csv").write_text("id,ant,bee,cat\n007,0.1,0.2")
    fails(workspace, "D27", workspace.root / "cut.csv")
    (workspace.root / "cut.parquet").write_bytes(b"PAR1 and no more")
    fails(workspace, "D70", workspace.root / "cut.parquet")
    (workspace.root / "folds.csv").write_text("name,part\nt0,1\n")
    error = fails(workspace, "D36", test_csv, oof_csv(workspace, None), folds=workspace.root / "folds.csv")
    assert "kit folds --out folds.csv" in error.hint


def test_missing_rows_and_uneven_folds_are_errors(workspace: Workspace, test_csv: Path) -> None:
    frame = table(TRAIN).assign(fold=list(FOLDS))
    fails(workspace, "D41", test_csv, write(workspace, frame[:8], "oof.csv"))
    twice = pd.concat([frame, frame[:1].assign(fold=1)])
    assert "fewer folds than others" in str(
        fails(workspace, "D43", test_csv, write(workspace, twice, "oof.csv"))
    )


def test_rows_with_several_labels_need_no_sum(tmp_path: Path) -> None:
    workspace = competition(
        tmp_path, **WIDE, data={"label_separator": " ", "group": None}, metric="samples_f1"
    )
    frame = pd.DataFrame({"id": TEST, "ant": 0.9, "bee": 0.8, "cat": 0.1})
    result = import_predictions(workspace, write(workspace, frame, "test.csv"), "lgbm")
    assert result.test_rows == 4
    bad = write(workspace, frame.assign(ant=2.0), "bad.csv")
    with pytest.raises(InvalidError, match="sigmoid of each cell"):
        import_predictions(workspace, bad, "other")


def test_rounded_rows_are_divided_by_their_sum(workspace: Workspace) -> None:
    frame = pd.DataFrame({"id": TEST, "ant": 0.33, "bee": 0.33, "cat": 0.33})
    result = bring(workspace, write(workspace, frame, "test.csv"))
    assert "kit divided each row by its sum" in result.notes[0]
    stored = Predictions.read(workspace.runs / "lgbm/predictions/plain/test.parquet")
    np.testing.assert_allclose(stored.probabilities, 1 / 3, rtol=1e-6)


def test_an_import_is_no_run_to_train_or_predict_with(
    workspace: Workspace, test_csv: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bring(workspace, test_csv, oof_csv(workspace))
    monkeypatch.chdir(workspace.root)
    assert find_run(workspace, "lgbm").made_by == "imported"
    for command, text in {
        "train --name lgbm": "runs/lgbm was imported, not trained",
        "tta --checkpoints runs/lgbm": "it has no networks",
        "final runs/lgbm": "was not trained from a config",
    }.items():
        assert run(command.split()) == 2, command
        assert text in capsys.readouterr().err
    assert run(["runs"]) == 0
    assert "imported" in capsys.readouterr().out
    assert run(["runs", "show", "lgbm", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["state"] == "imported"


def test_the_commands_say_what_they_did(
    workspace: Workspace, test_csv: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    oof_csv(workspace, None)
    monkeypatch.chdir(workspace.root)
    assert run(["folds", "runs/a", "--out", "folds.csv"]) == 0
    shown = capsys.readouterr()
    assert shown.out == "folds.csv\n"
    assert "9 rows, 3 folds, by runs/a" in shown.err
    assert "same folds as b" in shown.err
    assert run(["folds", "runs/a", "--out", "folds.csv"]) == 0
    assert run(["folds", "splitter=group_kfold", "splitter.folds=2", "--out", "folds.csv"]) == 2
    assert "already exists" in capsys.readouterr().err
    assert (
        run(["runs", "import", "test.csv", "--oof", "oof.csv", "--folds", "folds.csv", "--as", "lgbm"]) == 0
    )
    assert "same folds as a, b" in capsys.readouterr().out
    assert run(["runs", "import", "test.csv", "--as", "public"]) == 0
    assert "not verifiable" in capsys.readouterr().out
    assert run(["blend", "runs/a", "runs/public", "--json"]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["unverified"] == ["public@plain"]
    assert "no score: public@plain came without folds" in shown.err
    assert run(["board"]) == 0
    assert run(["runs", "import", "test.csv", "--oof", "oof.csv"]) == 2
    assert run(["runs", "import", "test.csv", "--as", "x", "--prefix", "y"]) == 2


def test_an_import_goes_to_a_team_mate_and_back(workspace: Workspace, test_csv: Path, tmp_path: Path) -> None:
    from kit.stages.sharing.exporting import export_runs
    from kit.stages.sharing.importing import import_runs

    bring(workspace, test_csv, oof_csv(workspace))
    export_runs(workspace, ["lgbm"], tmp_path / "lgbm.zip")
    other = distinct(tmp_path / "other", **WIDE)
    (foreign_run,) = import_runs(other, tmp_path / "lgbm.zip").runs
    assert (foreign_run.state, foreign_run.same_folds) == ("imported", ("a", "b"))
