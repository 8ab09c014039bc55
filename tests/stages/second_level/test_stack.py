"""Trees on members' probabilities and columns find what the columns know, and nothing where there is nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import rankdata, zscore
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score

from kit.commands._menu import run
from kit.config.workspace import Workspace
from kit.data.folds import make_folds
from kit.data.predictions import Predictions
from kit.data.table import rows_to_predict, train_table
from kit.errors import ConfigError, InvalidError
from kit.kinds import Splitter
from kit.runs.records import record
from kit.runs.run import Run
from kit.stages.blending.blend import Submitted, blend
from kit.stages.checks.side_columns import check_column_shift, check_side_columns, column_auc
from kit.stages.second_level.features import group_statistics, make_features, write_features
from kit.stages.second_level.stack import stack
from kit.stages.sharing.foreign import import_predictions

TRAIN, TEST, FOLDS = 240, 60, 3
CLASSES = ("no", "yes")


def competition(root: Path, columns: bool = True, seed: int = 0, **config: Any) -> Workspace:
    """A weak member `m`, and the columns `age`, which decides, and `site`, which is noise; four rows a patient."""
    rng = np.random.default_rng(seed)
    (root / "data" / "images").mkdir(parents=True)
    ids = [f"i{row:03d}" for row in range(TRAIN + TEST)]
    patient = np.arange(TRAIN + TEST) // 4
    truth = rng.integers(0, 2, len(ids))
    age = rng.normal(size=len(ids)) + (1.5 * truth if columns else 0)
    frame = pd.DataFrame(
        {
            "id": ids,
            "age": np.where(rng.random(len(ids)) < 0.1, "", np.round(age, 4).astype(str)),
            "site": rng.choice(["arm", "leg"], len(ids)),
            "patient": [f"p{number}" for number in patient],
        }
    )
    frame.loc[TRAIN:, "site"] = np.where(np.arange(TEST) % 7 == 0, "never seen", frame.loc[TRAIN:, "site"])
    for name in ids:
        (root / "data" / "images" / f"{name}.png").write_bytes(name.encode())
    frame[:TRAIN].assign(label=np.array(CLASSES)[truth[:TRAIN]]).to_csv(
        root / "data" / "train.csv", index=False
    )
    frame[TRAIN:].to_csv(root / "data" / "test.csv", index=False)
    pd.DataFrame({"id": ids[TRAIN:], "yes": 0.5}).to_csv(root / "data" / "sample_submission.csv", index=False)
    data = {"test": "data/test.csv", "columns": ["age", "site"], "group": "patient", **config.pop("data", {})}
    options = {"data": data, "metric": "auc", "format": {"name": "binary_probability"}, **config}
    (root / "config.json").write_text(json.dumps(options))
    shares = 1 / (1 + np.exp(-(0.6 * (2 * truth - 1) + rng.normal(size=len(ids)))))
    wide = pd.DataFrame({"id": ids, "no": 1 - shares, "yes": shares})
    wide[:TRAIN].assign(fold=patient[:TRAIN] % FOLDS).to_csv(root / "oof.csv", index=False)
    wide[TRAIN:].to_csv(root / "test.csv", index=False)
    workspace = Workspace.open(root)
    import_predictions(workspace, root / "test.csv", "m", root / "oof.csv")
    return workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return competition(tmp_path)


def test_columns_that_know_the_answer_raise_the_score(workspace: Workspace) -> None:
    result = stack(workspace, "runs/m", "trees")
    assert result.scores["auc"] > result.member_scores["m@plain"]["auc"] + 0.05


def test_columns_of_noise_raise_nothing(tmp_path: Path) -> None:
    result = stack(competition(tmp_path, columns=False), "runs/m", "trees")
    assert result.scores["auc"] < result.member_scores["m@plain"]["auc"] + 0.02


def test_the_score_is_that_of_scikit_learn_by_hand(workspace: Workspace) -> None:
    """Each fold by trees of the others, with the table that kit features writes."""
    write_features(workspace, ["runs/m"], workspace.root / "f.parquet")
    table = pd.read_parquet(workspace.root / "f.parquet")
    features, truth = table.drop(columns=["id", "fold", "target"]), (table["target"] == "yes").astype(int)
    held = np.zeros(len(table))
    for fold in range(FOLDS):
        out = (table["fold"] == fold).to_numpy()
        trees = HistGradientBoostingClassifier(
            max_iter=100, learning_rate=0.05, max_leaf_nodes=4, min_samples_leaf=40, l2_regularization=10.0,
            early_stopping=False,
            categorical_features="from_dtype", random_state=0,
        )  # fmt: skip
        held[out] = trees.fit(features[~out], truth[~out]).predict_proba(features[out])[:, 1]
    result = stack(workspace, ["runs/m"], "trees")
    assert result.scores["auc"] == pytest.approx(roc_auc_score(truth, held), abs=1e-12)
    stored = Predictions.read(workspace.runs / "trees/predictions/plain/oof.parquet")
    np.testing.assert_allclose(stored.align(table["id"])[:, 1], held, atol=1e-6)


def test_a_stacked_run_is_blended_like_any_other(workspace: Workspace) -> None:
    stack(workspace, ["runs/m"], "trees")
    submission = blend(workspace, ["runs/m", "runs/trees"], "hill_climb")
    assert isinstance(submission, Submitted)
    assert submission.test_rows == TEST
    assert record(Run(workspace.runs / "trees")).state == "stacked"
    assert not stack(workspace, ["runs/m"], "trees").is_new
    with pytest.raises(ConfigError, match="is another run"):
        stack(workspace, ["runs/m"], "trees", seeds=2)


@pytest.mark.parametrize("model", ["lightgbm", "xgboost", "catboost"])
def test_other_libraries_find_the_columns_too(workspace: Workspace, model: str) -> None:
    pytest.importorskip(model)
    result = stack(workspace, "runs/m", "trees", model=model)
    assert result.scores["auc"] > result.member_scores["m@plain"]["auc"] + 0.02
    again = stack(workspace, "runs/m", "again", model=model)
    assert again.scores == result.scores


def test_statistics_within_groups_are_those_of_scipy() -> None:
    values = np.array([3.0, 1.0, 2.0, 2.0, 5.0, 7.0])
    keys = np.array(["a", "a", "a", "a", "b", "c"])
    statistics = group_statistics(pd.DataFrame({"x": values}), keys)
    np.testing.assert_allclose(statistics["x|z"][:4], zscore(values[:4]))
    np.testing.assert_allclose(statistics["x|rank"][:4], (rankdata(values[:4]) - 1) / 3)
    assert statistics["x|z"][4:].tolist() == [0, 0]
    assert statistics["x|rank"][4:].tolist() == [0.5, 0.5]
    assert statistics["group|rows"].tolist() == [4, 4, 4, 4, 1, 1]
    missing = group_statistics(pd.DataFrame({"x": [1.0, np.nan, 3.0]}), np.array(["a", "a", "a"]))
    np.testing.assert_allclose(missing["x|z"], [-1, np.nan, 1])


def test_a_patients_rows_are_compared_with_one_another(workspace: Workspace) -> None:
    features = make_features(workspace, "runs/m")
    rows = features.rows.table.frame["patient"] == "p0"
    values = features.train["m@plain|yes"][rows]
    np.testing.assert_allclose(features.train["m@plain|yes|z"][rows], zscore(values))
    assert features.group == "patient"
    assert list(features.test_features(-1)[0].columns) == list(features.train.columns)


def test_the_tables_join_by_id_and_say_fold_and_target(workspace: Workspace) -> None:
    write_features(workspace, "runs/m", workspace.root / "f.csv")
    table = pd.read_csv(workspace.root / "f.csv")
    train = pd.read_csv(workspace.root / "data/train.csv").set_index("id")
    oof = pd.read_csv(workspace.root / "oof.csv").set_index("id")
    assert table["target"].tolist() == train.loc[table["id"], "label"].tolist()
    assert table["fold"].tolist() == oof.loc[table["id"], "fold"].tolist()
    np.testing.assert_allclose(table["m@plain|yes"], oof.loc[table["id"], "yes"], rtol=1e-6)
    assert len(pd.read_csv(workspace.root / "f-test.csv")) == TEST


def test_what_is_asked_for_wrongly_is_an_error(workspace: Workspace) -> None:
    def code(**options: Any) -> str:
        with pytest.raises((ConfigError, InvalidError)) as caught:
            stack(workspace, "runs/m", "trees", **options)
        assert not (workspace.runs / "trees").exists()
        return str(caught.value.code)

    assert code(model="lightgmb") == "C02"
    assert code(options={"max_itre": 5}) == "C02"
    assert code(options={"max_iter": -5}) == "C02"
    assert code(group="nobody") == "C07"
    with pytest.raises(ConfigError, match="neither .csv nor .parquet"):
        write_features(workspace, "runs/m", "f.xlsx")


def test_members_of_other_folds_are_refused(workspace: Workspace) -> None:
    oof = pd.read_csv(workspace.root / "oof.csv")
    oof.assign(fold=2 - oof["fold"]).to_csv(workspace.root / "oof2.csv", index=False)
    import_predictions(workspace, workspace.root / "test.csv", "n", workspace.root / "oof2.csv")
    with pytest.raises(InvalidError, match="have different folds"):
        stack(workspace, ["runs/m", "runs/n"], "trees")


def test_the_commands_say_what_they_did(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(workspace.root)
    assert run(["features", "runs/m", "--out", "f.csv"]) == 0
    shown = capsys.readouterr()
    assert shown.out.split() == ["f.csv", "f-test.csv"]
    assert "with ranks and z-scores within patient" in shown.err
    assert run(["features", "runs/m", "--out", "f.csv"]) == 2
    assert run(["stack", "runs/m", "--as", "trees", "--options", '{"max_iter": 20}', "--json"]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["run"] == "trees"
    assert "cross-fitted" in shown.err
    assert run(["runs", "diff", "m", "trees", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)
    assert run(["stack", "runs/m", "--as", "other", "--options", "max_iter=20"]) == 2
    assert "is not a JSON object" in capsys.readouterr().err


def test_check_names_columns_that_leak_and_useful_ones_that_nothing_uses(tmp_path: Path) -> None:
    workspace = competition(tmp_path, data={"columns": []})
    train = train_table(workspace).sort_by_id()
    test = rows_to_predict(workspace, workspace.competition.data, train.classes)
    findings = {
        one.code: one for one in check_side_columns(train, test, workspace.competition.data, ("id", "label"))
    }
    assert set(findings) == {"K46"}
    assert [case.path for case in findings["K46"].cases] == ["age"]
    assert findings["K46"].fix == 'data.columns=["age"]'
    leaky = replace(train, frame=train.frame.assign(site=np.where(train.labels == 1, "leg", "arm")))
    findings = {
        one.code: one for one in check_side_columns(leaky, test, workspace.competition.data, ("id", "label"))
    }
    assert [case.path for case in findings["K45"].cases] == ["site"]


def test_check_measures_a_column_as_scikit_learn_does(tmp_path: Path) -> None:
    """Of one number that decides, the AUC of trees is near that of the number itself."""
    workspace = competition(tmp_path)
    train = train_table(workspace).sort_by_id()
    test = rows_to_predict(workspace, workspace.competition.data, train.classes)
    auc = column_auc(train, test, "age", workspace.competition.data)
    ages = pd.to_numeric(train.frame["age"], errors="coerce")
    alone = roc_auc_score(train.targets()[ages.notna()], ages[ages.notna()])
    assert auc == pytest.approx(alone, abs=0.08)


def test_check_names_columns_that_differ_between_the_tables_or_tell_the_fold(tmp_path: Path) -> None:
    workspace = competition(tmp_path, data={"columns": ["age", "site", "batch"]})
    train = train_table(workspace).sort_by_id()
    test = rows_to_predict(workspace, workspace.competition.data, train.classes)
    folds = make_folds(train, Splitter.open({"name": "group_kfold", "folds": FOLDS}))
    noise = np.random.default_rng(0).integers(0, 9, len(train) + len(test))
    data = workspace.competition.data

    def shifted(train_batch: np.ndarray, test_batch: np.ndarray) -> dict[str, list[str]]:
        own = replace(train, frame=train.frame.assign(batch=train_batch.astype(str), site="arm"))
        other = replace(test, frame=test.frame.assign(batch=test_batch.astype(str), site="arm"))
        cases = [case for one in check_column_shift(own, other, folds, data) for case in one.cases]
        return {str(case.path): [one.detail for one in cases if one.path == case.path] for case in cases}

    assert shifted(noise[: len(train)], noise[len(train) :]) == {}
    (later,) = shifted(noise[: len(train)], noise[len(train) :] + 20)["batch"]
    assert "AUC 1.000 for test rows" in later
    aucs = shifted(folds.numbers[:, 0], np.arange(len(test)) % FOLDS)
    assert aucs == {"batch": ["AUC 1.000 for the rows of fold 0"]}


def test_check_says_how_many_test_cells_are_new(tmp_path: Path) -> None:
    workspace = competition(tmp_path, data={"columns": ["site"]})
    train = train_table(workspace).sort_by_id()
    test = rows_to_predict(workspace, workspace.competition.data, train.classes)
    test = replace(test, frame=test.frame.assign(site="another clinic"))
    folds = make_folds(train, Splitter.open({"name": "group_kfold", "folds": FOLDS}))
    (finding,) = check_column_shift(train, test, folds, workspace.competition.data)
    assert finding.code == "K48"
    assert "100% more of its test cells are empty or new values" in str(finding.cases[0])
