"""Answers whose parts are unlike: a class, yes or no, and numbers, with labels missing, from tables to submissions."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import log_loss, root_mean_squared_error
from torch.nn import functional

from kit.config.workspace import Workspace
from kit.data.predictions import Predictions
from kit.data.table import train_table
from kit.errors import ConfigError, DataError
from kit.kinds import Classes, Format, Loss, Metric
from kit.kinds.score_context import ScoreContext
from kit.kinds.several_target import SeveralTarget
from kit.kinds.target_json import target_of
from kit.stages.blending.blend import Submitted, blend
from kit.stages.discovery.initialise import initialise
from kit.stages.prediction.tta import tta
from kit.stages.reporting.gathering import gather_facts
from kit.stages.reporting.page import page
from kit.stages.submission.validation import check_submission
from kit.stages.training.train import train
from tests.entering import TINY
from tests.stages.test_several_parts import write_images

ROWS, TESTS = 24, 4
TARGET = SeveralTarget((("kind", 2), ("flags", 2), ("height", 1)), ("softmax", "sigmoid", "number"))
NAMES = ("kind=a", "kind=b", "wet", "old", "height")
NAN = np.nan
LABELS = np.array(
    [[1, 0, 1, 0, 3.0], [0, 1, NAN, 1, NAN], [0, 0, 0, 0, 5.0], [0, 1, 1, 1, 10.0]]
)  # rows 1 and 2 lack some parts
GROUPS = {"bowel": 2, "extravasation": 2, "kidney": 3, "liver": 3}
LEVELS = ("healthy", "low", "high")


def trauma(root: Path) -> None:
    """RSNA 2023 with two of the three organs: a column of 0 and 1 for each class of each part."""
    trained, tested = [str(100 + row) for row in range(ROWS)], [str(900 + row) for row in range(TESTS)]
    write_images(root, "train", trained)
    write_images(root, "test", tested)
    rng = np.random.default_rng(0)
    cells: dict[str, Any] = {}
    for part, size in GROUPS.items():
        drawn = rng.permutation(np.arange(ROWS) % size)
        names = ("healthy", "injury") if size == 2 else LEVELS
        cells |= {f"{part}_{name}": (drawn == at).astype(int) for at, name in enumerate(names)}
    pd.DataFrame({"patient_id": trained, **cells}).to_csv(root / "train.csv", index=False)
    sample = pd.DataFrame({"patient_id": tested, **dict.fromkeys(cells, 0.5)})
    sample.to_csv(root / "sample_submission.csv", index=False)


def plants(root: Path, long: bool) -> None:
    """A class, yes or no and a number, whose labels are missing here and there; the sample asks for two of them."""
    trained, tested = [f"p{row}" for row in range(ROWS)], [f"t{row}" for row in range(TESTS)]
    write_images(root, "train", trained)
    write_images(root, "test", tested)
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(
        {
            "id": trained,
            "species": [("oak", "elm", "ash")[row % 3] for row in range(ROWS)],
            "woody": rng.permutation(np.arange(ROWS) % 2).astype(str),
            "height": np.round(rng.normal(100, 20, ROWS), 1).astype(str),
        }
    )
    frame.loc[[0, 5], "species"] = ""
    frame.loc[[1, 5], "woody"] = ""
    frame.loc[[2, 3], "height"] = ""
    frame.to_csv(root / "train.csv", index=False)
    names = ["height", "woody"]
    sample = pd.DataFrame({"id": tested, **dict.fromkeys(names, 0.5)})
    if long:
        sample = pd.DataFrame({"row": [f"{one}_{name}" for one in tested for name in names], "value": 0.5})
    sample.to_csv(root / "sample_submission.csv", index=False)
    data = {
        "train": "train.csv",
        "sample": "sample_submission.csv",
        "images": "train/{id}.png",
        "test_images": "test/{id}.png",
        "target": "several",
        "label": ["species"],
        "parts": {"woody": "sigmoid", "height": "number"},
    }
    config = {
        "data": data,
        "loss": {"name": "several", "weights": {"species": 0.5}},
        "metric": {"name": "parts", "weights": {"height": 0.01}},
        "splitter": {"name": "multilabel_stratified_kfold", "folds": 2},
    }
    (root / "config.json").write_text(json.dumps(config))


def submit(root: Path, ensembler: str | None = None) -> pd.DataFrame:
    """The valid submission of a run's plain predictions, or of two views that an ensembler blends."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run = train(root, TINY, name="a")
        tta(root, [run.folder], views="plain")
        members = ["runs/a@plain"]
        if ensembler:
            tta(root, [run.folder], views="hflip")
            members.append("runs/a@hflip")
        submission = blend(root, members, ensembler=ensembler or "mean")
    assert isinstance(submission, Submitted)
    assert check_submission(Workspace.open(root), submission.path).faults == ()
    return pd.read_csv(submission.path, dtype=str)


def test_trauma_is_entered_by_its_groups_of_columns(tmp_path: Path) -> None:
    trauma(tmp_path)
    result = initialise(tmp_path, "scratch")
    config = json.loads(result.path.read_text())
    assert config["data"]["target"] == "several", result.findings
    assert list(config["data"]["parts"]) == list(GROUPS)
    weights = {"bowel_injury": 2, "extravasation_injury": 6}
    weights |= {
        f"{part}_{level}": weight
        for part in ("kidney", "liver")
        for level, weight in zip(LEVELS[1:], (2, 4), strict=True)
    }
    injury = {"name": "log_loss", "class_weights": {"yes": 6}}
    metric = {
        "name": "mean",
        "weights": [len(GROUPS), 1],
        "of": [
            {"name": "parts", "of": {"name": "log_loss", "class_weights": weights}},
            {"name": "any_part", "classes": ["*_injury", "*_low", "*_high"], "of": injury},
        ],
    }
    result.path.write_text(json.dumps({**config, "metric": metric}))
    written = submit(tmp_path)
    values = written.iloc[:, 1:].astype(float)
    assert list(written.columns) == list(pd.read_csv(tmp_path / "sample_submission.csv").columns)
    oof = Predictions.read(tmp_path / "runs/a/predictions/plain/oof.parquet")
    frame = (
        pd.read_csv(tmp_path / "train.csv", dtype={"patient_id": str})
        .set_index("patient_id")
        .loc[oof.ids.tolist()]
    )
    # the published score: a weighted log loss of each group, and one of any injury, from the healthy columns
    losses, at = [], 0
    healthy, healthy_shares = [], []
    for part, size in GROUPS.items():
        columns = [name for name in frame.columns if name.startswith(f"{part}_")]
        assert np.allclose(values[columns].sum(axis=1), 1, atol=1e-3)
        shares = oof.probabilities[:, at : at + size].astype(float)
        rows = [weights.get(columns[number], 1) for number in frame[columns].to_numpy().argmax(axis=1)]
        shares /= shares.sum(axis=1, keepdims=True)
        losses.append(log_loss(frame[columns].to_numpy(), shares, sample_weight=rows))
        healthy.append(frame[f"{part}_healthy"])
        healthy_shares.append(shares[:, 0])
        at += size
    injured = (1 - np.stack(healthy, axis=1)).max(axis=1)
    shares = (1 - np.stack(healthy_shares, axis=1)).max(axis=1)
    losses.append(log_loss(injured, shares, sample_weight=np.where(injured == 1, 6, 1), labels=[0, 1]))
    assert oof.provenance.scores is not None
    assert oof.provenance.scores["mean"] == pytest.approx(np.mean(losses), rel=1e-5)


@pytest.mark.parametrize("long", [False, True])
def test_a_class_yes_or_no_and_a_number_are_entered_together(tmp_path: Path, long: bool) -> None:
    plants(tmp_path, long)
    written = submit(tmp_path, "simplex" if long else "hill_climb")
    oof = Predictions.read(tmp_path / "runs/a/predictions/plain/oof.parquet")
    assert oof.classes == ("species=ash", "species=elm", "species=oak", "woody", "height")
    frame = pd.read_csv(tmp_path / "train.csv", dtype={"id": str}).set_index("id").loc[oof.ids.tolist()]
    given, scores = oof.probabilities.astype(float), []
    some = frame["species"].notna().to_numpy()
    shares = given[some, :3] / given[some, :3].sum(axis=1, keepdims=True)
    scores.append(log_loss(frame["species"][some], shares, labels=["ash", "elm", "oak"]))
    some = frame["woody"].notna().to_numpy()
    scores.append(log_loss(frame["woody"][some], given[some, 3]))
    some = frame["height"].notna().to_numpy()
    scores.append(root_mean_squared_error(frame["height"][some], given[some, 4]))
    assert oof.provenance.scores is not None
    expected = np.average(scores, weights=[1, 1, 0.01])
    assert oof.provenance.scores["parts"] == pytest.approx(expected, rel=1e-5)
    if long:
        assert written["row"].tolist()[:2] == ["t0_height", "t0_woody"]
        heights = written["value"][::2].astype(float)
    else:
        heights = written["height"].astype(float)
        assert written["woody"].astype(float).between(0, 1).all()
        report = page(gather_facts(tmp_path, check=False))
        assert "species=ash" in report
        assert "species: true classes in rows, predicted classes in columns" in report
        assert "height: predicted by true values" in report
    assert heights.between(50, 150).all()  # in the labels' unit


def test_the_loss_leaves_missing_labels_out() -> None:
    classes = Classes(
        NAMES, (1, 2, 2, 2, 3), total=4, target=TARGET, means=(0, 0, 0, 0, 6.0), scales=(1, 1, 1, 1, 2.0)
    )
    loss = Loss.open({"name": "several", "weights": {"flags": 2, "height": 3}}).with_classes(classes)
    outputs = torch.randn(4, 5, generator=torch.Generator().manual_seed(0), requires_grad=True)
    labels = torch.from_numpy(LABELS).float()
    losses = loss.rows(outputs, labels)
    kind = functional.cross_entropy(outputs[:, :2], torch.tensor([0, 1, 0, 1]), reduction="none")
    kind = kind * torch.tensor([1, 1, 0, 1])
    known = labels.nan_to_num()
    wet = functional.binary_cross_entropy_with_logits(outputs[:, 2], known[:, 2], reduction="none")
    old = functional.binary_cross_entropy_with_logits(outputs[:, 3], known[:, 3], reduction="none")
    flags = (wet * torch.tensor([1, 0, 1, 1]) + old) / 2
    height = (outputs[:, 4] - (known[:, 4] - 6) / 2) ** 2 * torch.tensor([1, 0, 1, 1])
    expected = (kind + 2 * flags + 3 * height) / 6
    assert torch.allclose(losses, expected)
    gradient = torch.autograd.grad(losses.sum(), outputs)[0]
    assert gradient.isfinite().all()
    assert (gradient[1, [2, 4]] == 0).all()
    assert (gradient[2, :2] == 0).all()
    probabilities = loss.probabilities(outputs)
    assert torch.allclose(probabilities[:, :2], outputs[:, :2].softmax(1))
    assert torch.allclose(probabilities[:, 2:4], outputs[:, 2:4].sigmoid())
    assert torch.allclose(probabilities[:, 4], outputs[:, 4] * 2 + 6)


def test_the_target_knows_each_kind_of_part() -> None:
    assert target_of(json.loads(json.dumps(TARGET.to_json()))) == TARGET
    assert TARGET.prior(LABELS, 5) == pytest.approx([1 / 3, 2 / 3, 2 / 3, 0.5, 6])
    assert TARGET.count_rows(LABELS, 5).tolist() == [1, 2, 2, 2, 3]
    assert TARGET.number_columns(5).tolist() == [False] * 4 + [True]
    assert TARGET.find_missing(LABELS).sum(axis=1).tolist() == [0, 2, 2, 0]
    assert TARGET.names_of(LABELS[0], NAMES) == ("kind=a", "wet", "height 3")
    rows = np.array([[0.4, 0.6, 0.9, 0.1, -50], [0.4, 0.5, 0.9, 0.1, 7], [0.4, 0.6, 1.1, 0.1, 7]])
    assert TARGET.describe(rows[0], NAMES) == "kind=b, wet, no old, height -50"
    faults = {text: wrong.tolist() for text, wrong in TARGET.find_faults(rows) if wrong.any()}
    assert faults == {
        "the sum of a part is not 1": [False, True, False],
        "a probability above 1": [False, False, True],
    }
    assert len(np.unique(TARGET.strata(LABELS, 2))) == 3
    assert TARGET.marks(LABELS, 5, 2).shape[0] == 4


def test_an_auxiliary_part_stays_out_of_the_submission() -> None:
    shares = np.array([[0.2, 0.8, 0.5, 0.5, 7.5], [0.9, 0.1, 0.5, 0.5, 1]], np.float32)
    predictions = Predictions(np.array(["1", "2"]), np.full(2, -1), NAMES, shares, target=TARGET)
    sample = pd.DataFrame({"Id": ["2", "1"], "Predicted": "a", "height": "0"})
    columns = Format.open({"name": "part_columns", "parts": {"Predicted": "kind"}})
    assert columns.matches(sample, NAMES)
    assert columns.write(predictions, sample).to_numpy().tolist() == [["2", "a", "1.0"], ["1", "b", "7.5"]]
    with pytest.raises(ConfigError, match="the sample's column 'Predicted' is no part"):
        Format.open("part_columns").write(predictions, sample)
    rows = pd.DataFrame({"row": ["1_height", "2_kind"], "cell": ""})
    assert Format.open("part_labels").write(predictions, rows)["cell"].tolist() == ["7.5", "a"]


def test_metrics_of_parts_agree_in_direction() -> None:
    known = ScoreContext(NAMES, target=TARGET)
    mixed = Metric.open({"name": "parts", "of": "accuracy"}).with_known(context=known)
    with pytest.raises(ConfigError, match="lower is better for metric.sigmoid=log_loss, metric.number=rmse"):
        mixed.check_context()
    spec = {"name": "parts", "of": "accuracy", "sigmoid": "auc", "number": "r2"}
    metric = Metric.open(spec).with_known(context=known)
    metric.check_context()
    assert metric.higher_is_better
    perfect = np.nan_to_num(LABELS)
    assert metric.score(LABELS, perfect) == pytest.approx(1)


def test_bad_cells_of_parts_are_refused(tmp_path: Path) -> None:
    plants(tmp_path, False)
    frame = pd.read_csv(tmp_path / "train.csv", dtype=str)

    def read(changed: pd.DataFrame) -> None:
        changed.to_csv(tmp_path / "train.csv", index=False)
        train_table(tmp_path)

    for column, cell in (("height", "inf"), ("woody", "2")):
        with pytest.raises(DataError, match="1 labels of parts do not fit the kind") as raised:
            read(frame.assign(**{column: [cell, *frame[column][1:]]}))
        assert raised.value.code == "D31"
    for column, text in (("height", "12"), ("woody", "1"), ("height", "")):
        with pytest.raises(DataError, match="1 parts have nothing to learn") as raised:
            read(frame.assign(**{column: text}))
        assert raised.value.code == "D39"
    blank = frame.copy()
    blank.loc[5, "height"] = None
    with pytest.raises(DataError, match="1 training rows have no label of any part"):
        read(blank)
    trauma_root = tmp_path / "trauma"
    trauma_root.mkdir()
    trauma(trauma_root)
    initialise(trauma_root, "scratch")
    cells = pd.read_csv(trauma_root / "train.csv")
    cells.loc[0, ["kidney_low", "kidney_high"]] = 1
    cells.to_csv(trauma_root / "train.csv", index=False)
    with pytest.raises(DataError, match="1 labels of parts do not fit the kind"):
        train_table(trauma_root)
