"""kit pseudo-labels of shares and numbers: the rows on which teachers agree most, and their error, by hand."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.special import rel_entr

import kit
from kit.commands._menu import run as command
from kit.config.workspace import Workspace
from kit.core.progress import finish
from kit.data.pseudo_labels import PseudoLabels
from kit.data.table import train_table
from kit.errors import ConfigError
from kit.experiment.run_context import prepare_run, scratch_run
from kit.kinds import Loss
from kit.kinds.targets import NUMBERS
from kit.runs.run import Run
from kit.stages.pseudo_labelling.pseudo import PseudoRequest, pseudo
from kit.stages.pseudo_labelling.rule import Rule
from kit.stages.pseudo_labelling.teachers import TeacherPredictions
from kit.stages.pseudo_labelling.values import ValueEstimate, estimate_error, lowest
from tests.planted_predictions import another_fold, plant, read

COLUMNS = {"numbers": ["red", "green"], "shares": ["p", "q"]}
SMALL: dict[str, Any] = {
    "backbone": "small",
    "image_size": 16,
    "cache_size": 16,
    "epochs": 1,
    "splitter": {"name": "kfold", "folds": 2},
    "batch_size": 8,
    "augmenter": "resize",
}
TRAIN = [f"p{number:02d}" for number in range(20)]
TEST = [f"t{number:02d}" for number in range(6)]


def draw(root: Path, kind: str) -> Path:
    """Rows with random pictures, a workspace with their labels, and the run `a` with its test rows."""
    rng, columns = np.random.default_rng(0), COLUMNS[kind]
    (root / "data").mkdir(parents=True)
    for name in [*TRAIN, *TEST]:
        blocks = Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8))
        blocks.resize((24, 24), Image.Resampling.NEAREST).save(root / "data" / f"{name}.png")
    values = rng.random((len(TRAIN), len(columns))) * [100, 3][: len(columns)]
    if kind == "shares":
        values = np.stack([values[:, 0] / 100, 1 - values[:, 0] / 100], axis=1)
    frame = pd.DataFrame(values.round(6), columns=columns)
    frame.insert(0, "id", TRAIN)
    frame.to_csv(root / "train.csv", index=False)
    pd.DataFrame({"id": TEST, **dict.fromkeys(columns, 0.5)}).to_csv(root / "sample.csv", index=False)
    target = "shares" if kind == "shares" else "numbers"
    data = {"train": "train.csv", "sample": "sample.csv", "images": "data/{id}.png", "label": columns}
    config = {
        **SMALL,
        "data": {**data, "target": target},
        "loss": "cross_entropy" if kind == "shares" else "mse",
        "metric": "kl_divergence" if kind == "shares" else "rmse",
    }
    (root / "config.json").write_text(json.dumps(config))
    session = kit.open(root)
    session.train("a", progress=False)
    session.tta("runs/a", views="plain", progress=False)
    return root


def apart(names: np.ndarray) -> np.ndarray:
    """Half the distance of the two teachers, another one for each row."""
    return np.array([0.01 * ((7 * int(name[1:])) % 11) for name in names.tolist()])


def plan_of(side: float, kind: str) -> Any:
    """Two teachers around the same values, `apart` from each other in the units of the columns."""

    def plan(predictions: Any) -> np.ndarray:
        middle = (
            np.array([0.2 + 0.02 * int(name[1:]) for name in predictions.ids.tolist()])
            + 0.05 * predictions.folds
        )
        moved = middle + side * apart(predictions.ids)
        if kind == "shares":
            return np.stack([moved, 1 - moved], axis=1)
        return np.asarray(moved[:, None] * np.array([100, 3])[: len(COLUMNS[kind])])

    return plan


@pytest.fixture(scope="module", params=["numbers", "shares"])
def drawn(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    root = draw(tmp_path_factory.mktemp(request.param) / "space", request.param)
    shutil.copytree(root / "runs" / "a", root / "runs" / "b")
    for run, side in (("a", 1.0), ("b", -1.0)):
        for split in ("oof", "test"):
            plant(root, split, plan_of(side, request.param), run)
    return root, request.param


@pytest.fixture
def school(drawn: tuple[Path, str], tmp_path: Path) -> tuple[Path, str]:
    return Path(shutil.copytree(drawn[0], tmp_path / "space")), drawn[1]


def test_all_rows_or_those_of_the_lowest_deviation_are_labelled(school: tuple[Path, str]) -> None:
    root, kind = school
    every = pseudo(root, ["runs/a", "runs/b"], "every")
    assert every.folds == {0: 6, 1: 6}
    assert every.labels == ("soft" if kind == "shares" else "numbers")
    half = pseudo(root, ["runs/a", "runs/b"], "half", PseudoRequest(Rule(top_fraction=0.5)))
    labels = PseudoLabels.read(Workspace.open(root), half.path)
    nearest = np.array(TEST)[np.argsort(apart(np.array(TEST)), kind="stable")[:3]]
    for fold in (0, 1):
        rows = labels.of(fold)
        assert set(rows.ids.tolist()) == set(nearest.tolist())
        both = [read(root, "test", run) for run in "ab"]
        by_hand = np.mean([one.take(one.folds == fold).align(rows.ids, True) for one in both], axis=0)
        np.testing.assert_allclose(rows.probabilities, by_hand, rtol=1e-5)


def test_the_error_is_that_of_the_same_rule_on_held_out_rows(school: tuple[Path, str]) -> None:
    root, kind = school
    result = pseudo(root, ["runs/a", "runs/b"], "half", PseudoRequest(Rule(top_fraction=0.5)))
    table = train_table(root, Workspace.open(root).competition.data).sort_by_id()
    folds = Run(root / "runs" / "a").folds()
    every, chosen = [], []
    for fold in (0, 1):
        ids = folds.ids[folds.oof_mask(fold)]
        both = [read(root, "oof", run) for run in "ab"]
        predicted = np.mean([one.take(one.folds == fold).align(ids) for one in both], axis=0)
        truth = table.targets()[table.index_of(ids)]
        if kind == "shares":
            errors = rel_entr(truth, predicted.astype(float)).sum(axis=1)
        else:
            trained = table.targets()[~np.isin(table.ids, ids)]
            scale = trained.std(axis=0)
            errors = (((predicted - truth) / scale) ** 2).mean(axis=1)
        every.append(errors)
        chosen.append(errors[np.argsort(apart(ids), kind="stable")[:5]])
    root_of: Any = float if kind == "shares" else np.sqrt
    assert result.error is not None
    assert result.error.error is not None
    assert result.error.error_of_all == pytest.approx(root_of(np.mean(every)), rel=1e-5)
    assert result.error.error == pytest.approx(root_of(np.mean(chosen)), rel=1e-5)
    low, high = result.error.interval
    assert low < result.error.error < high
    assert result.error.share == 0.5


def test_a_fold_gets_the_same_labels_whatever_the_networks_of_others_predict(
    school: tuple[Path, str],
) -> None:
    root, _ = school
    request = PseudoRequest(Rule(top_fraction=0.5))
    before = pseudo(root, ["runs/a", "runs/b"], "before", request)
    for run in "ab":
        plant(root, "test", another_fold(1), run)
        plant(root, "oof", another_fold(1), run)
    after = pseudo(root, ["runs/a", "runs/b"], "after", request)
    own = [PseudoLabels.read(Workspace.open(root), result.path) for result in (before, after)]
    for split in (0, 1):
        same = np.array_equal(own[0].of(split).probabilities, own[1].of(split).probabilities)
        assert same == (split == 0)


def test_a_student_trains_on_them_beside_its_own_rows(school: tuple[Path, str]) -> None:
    root, kind = school
    result = pseudo(root, ["runs/a", "runs/b"], "half", PseudoRequest(Rule(top_fraction=0.5)))
    workspace = Workspace.open(root, [f"pseudo_labels={result.path}"])
    setting = finish(prepare_run(workspace, scratch_run(workspace)))
    labels = PseudoLabels.read(workspace, result.path)
    for fold in (0, 1):
        loss = workspace.experiment.open(Loss, root)
        material = setting.training_data(fold, loss)
        own = setting.training_rows(fold)
        assert len(material.rows) == len(own) + 3
        assert material.targets is None
        table = setting.loaded.table
        np.testing.assert_array_equal(material.labels[own], table.targets()[own])
        added = material.labels[np.setdiff1d(material.rows, own)]
        wanted = labels.of(fold)
        np.testing.assert_allclose(added, wanted.align(np.sort(wanted.ids)), rtol=1e-6)
        if kind != "shares":  # pseudo-labelled rows have no part in the scale of the labels
            bound: Any = setting.loss_of(fold, loss)
            assert bound.scales == table.scale(own)[1]
    session = kit.open(root)
    student = session.train("student", pseudo_labels=result.path, progress=False)
    assert student is not None
    assert Run(root / "runs" / "student").provenance["pseudo"]["round"] == 1


@pytest.mark.parametrize(
    ("rule", "options", "says"),
    [
        (Rule(0.8), {}, "--threshold needs one class per row"),
        (Rule(class_balanced=True, unanimous=True), {}, "--class-balanced and --unanimous needs"),
        (Rule(), {"rows": ("test", "train")}, "--rows train needs one class per row"),
    ],
)
def test_options_of_classes_are_refused(
    school: tuple[Path, str], rule: Rule, options: Mapping[str, Any], says: str
) -> None:
    with pytest.raises(ConfigError, match=f"C17 {says}"):
        pseudo(school[0], ["runs/a", "runs/b"], "x", PseudoRequest(rule, **options))


def test_one_teacher_labels_all_rows_and_ranks_none(school: tuple[Path, str]) -> None:
    root, _ = school
    assert pseudo(root, ["runs/a"], "one").folds == {0: 6, 1: 6}
    with pytest.raises(ConfigError, match="C20 --top-fraction .* there is one teacher"):
        pseudo(root, ["runs/a"], "two", PseudoRequest(Rule(top_fraction=0.5)))


def test_the_command_prints_the_error(
    school: tuple[Path, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root, kind = school
    monkeypatch.chdir(root)
    options = ["pseudo-labels", "runs/a", "runs/b", "--top-fraction", "0.5", "--name", "x"]
    assert command(options) == 0
    err = capsys.readouterr().err
    measure = "KL divergence" if kind == "shares" else "RMSE"
    assert f"on 20 held-out rows the same rule labels 50.0%, with the {measure} " in err
    assert ("standard deviations of the labels" in err) == (kind == "numbers")
    assert command([*options, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["error"]["rows"], report["error"]["selected"]) == (20, 10)
    assert report["error"]["measure"] == measure
    if kind == "numbers":
        assert command(["pseudo-labels", "runs/a", "--soft", "--name", "y"]) == 2
        assert "C17 --soft needs one class per row" in capsys.readouterr().err


def test_the_interval_of_the_error_covers_it_in_95_of_100_samples() -> None:
    rng, inside = np.random.default_rng(0), 0
    for _ in range(400):
        errors = rng.normal(0, 2, 80) ** 2
        low, high = ValueEstimate("RMSE", "", errors, errors).interval
        inside += low < 2 < high
    assert 0.91 < inside / 400 < 0.98
    assert ValueEstimate("RMSE", "", np.ones(1), np.ones(1)).interval == (0, np.inf)
    assert ValueEstimate("RMSE", "").error is None
    assert asdict(ValueEstimate("RMSE", ""))["measure"] == "RMSE"


def test_the_lowest_deviations_are_chosen_in_order() -> None:
    deviation = np.array([0.3, 0.1, 0.2, 0.1, 0.5])
    assert lowest(deviation, 0.4).tolist() == [1, 3]
    assert lowest(deviation, 0.5).tolist() == [1, 3, 2]
    assert lowest(deviation, 1.0).tolist() == [1, 3, 2, 0, 4]


def test_the_error_of_one_column_is_in_the_labels_unit() -> None:
    ids, agreed = np.array(list("abc")), np.ones(3, bool)
    predicted = np.array([[10.0], [20.0], [30.0]], np.float32)
    held = TeacherPredictions(ids, predicted, agreed, np.array([0.2, 0.3, 0.1]))
    truth = np.array([[13.0], [20.0], [34.0]])
    result = estimate_error(NUMBERS, held, truth, 0.5, np.ones(1))
    assert result.error == pytest.approx(np.sqrt((9 + 16) / 2))
    assert result.error_of_all == pytest.approx(np.sqrt(25 / 3))
    assert (result.measure, result.unit) == ("RMSE", "")
    assert result.share == pytest.approx(2 / 3)
