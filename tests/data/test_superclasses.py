"""What the competition says of its classes reaches the loss, in training and after it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kit.config.workspace import Workspace
from kit.data.predictions import Predictions
from kit.data.table import train_table
from kit.errors import ConfigError
from kit.stages.prediction.tta import tta
from kit.stages.training.train import train
from tests.drawing import draw_competition


@pytest.fixture
def grouped(tmp_path: Path) -> Path:
    data = {"class_list": "data/classes.csv", "superclasses": "shape"}
    root = draw_competition(tmp_path / "space", data=data, loss="group_smoothing", epochs=1)
    (root / "data" / "classes.csv").write_text("label,shape\nring,round\nblob,round\ncross,sharp\n")
    return root


def test_groups_are_in_the_order_of_the_classes(grouped: Path) -> None:
    table = train_table(grouped, Workspace.open(grouped).competition.data)
    assert table.classes == ("ring", "blob", "cross")
    assert table.class_groups == ("round", "round", "sharp")


def test_a_loss_that_needs_groups_trains_and_predicts(grouped: Path) -> None:
    train(grouped, name="g")
    (tta_result,) = tta(grouped, ["runs/g"], "hflip")
    predictions = Predictions.read(tta_result.folder / "test.parquet")
    assert len(predictions.mean()) == 12
    assert np.isfinite(predictions.probabilities).all()


def test_a_column_that_is_not_there_is_named_with_the_nearest(grouped: Path) -> None:
    with pytest.raises(ConfigError, match=r"C07 .* has no column 'shap'; did you mean 'shape'"):
        train(grouped, ["data.superclasses=shap"], name="g")


def test_groups_without_a_list_of_classes_are_an_error(grouped: Path) -> None:
    with pytest.raises(ConfigError, match="needs data.class_list"):
        train(grouped, ["data.class_list=null"], name="g")


def test_without_groups_the_loss_says_what_to_write(grouped: Path) -> None:
    with pytest.raises(ConfigError, match="data.superclasses=shape_group"):
        train(grouped, ["data.superclasses=null"], name="g")
