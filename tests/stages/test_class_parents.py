"""A competition of classes with parents (FGVC), from the tables to a submission and a bundle."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score, log_loss

from kit.config.workspace import Workspace
from kit.data.predictions import Predictions
from kit.data.table import train_table
from kit.errors import ConfigError
from kit.stages.blending.blend import Submitted, blend
from kit.stages.prediction.tta import tta
from kit.stages.training.train import train
from tests.drawing import draw_competition

METRIC = {
    "name": "mean",
    "of": [
        {"name": "level", "level": "shape", "of": "log_loss"},
        {"name": "log_loss"},
    ],
    "weights": [3, 1],
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Three classes, of which two have one shape."""
    data = {"class_list": "data/classes.csv", "parents": ["shape"]}
    root = draw_competition(tmp_path / "space", data=data, metric=METRIC, epochs=2)
    (root / "data" / "classes.csv").write_text("label,shape\nring,round\nblob,round\ncross,x\n")
    return root


def test_losses_of_parents_train_predict_and_blend_by_a_metric_of_parents(tree: Path) -> None:
    train(tree, ["loss=levels", "loss.base=label_smoothing"], name="a")
    train(tree, ["loss=cutmix", "loss.base=level_heads", "loss.base.weights.shape=0.5"], name="b")
    table = train_table(tree, Workspace.open(tree).competition.data)
    assert [level.parents for level in table.class_levels] == [("round", "round", "x")]
    for name in "ab":
        (result,) = tta(tree, [f"runs/{name}"], "hflip")  # from checkpoints, which know the parents
        oof = Predictions.read(result.folder / "oof.parquet")
        own = table.take(table.index_of(oof.ids))
        shares = oof.probabilities.astype(float)
        shares /= shares.sum(axis=1, keepdims=True)
        shapes = np.stack([shares[:, 0] + shares[:, 1], shares[:, 2]], axis=1)
        true = np.array([0, 0, 1])[own.targets()]
        expected = (3 * log_loss(true, shapes) + log_loss(own.targets(), shares)) / 4
        assert oof.provenance.require_scores()["mean"] == pytest.approx(expected, rel=1e-5)
        assert f1_score(true, shapes.argmax(axis=1), average="macro") > 0
    written = blend(Workspace.open(tree), ["runs/a@hflip", "runs/b@hflip"])
    assert isinstance(written, Submitted)
    assert (written.rows, written.test_rows) == (60, 12)


def test_parents_in_a_list_and_in_the_training_table_are_the_same(tree: Path) -> None:
    data = Workspace.open(tree).competition.data
    (tree / "data" / "tree.csv").write_text(
        "child,parent\nring,round\nblob,round\ncross,x\nround,all\nx,all\n"
    )
    listed = data.model_copy(update={"parents": (), "parent_list": "data/tree.csv"})
    frame = pd.read_csv(tree / "data" / "train.csv", dtype=str)
    label = data.label if isinstance(data.label, str) else "label"
    frame["shape"] = np.where(frame[label] == "cross", "x", "round")
    frame.to_csv(tree / "data" / "train.csv", index=False)
    rows = data.model_copy(update={"class_list": None})
    parents = [
        dict(zip(table.classes, table.class_levels[0].parents, strict=True))
        for table in (train_table(tree, one) for one in (data, listed, rows))
    ]
    assert parents == [{"ring": "round", "blob": "round", "cross": "x"}] * 3


def test_without_parents_metric_and_loss_say_what_to_write(tree: Path) -> None:
    with pytest.raises(ConfigError, match=r"C47 .*needs parents of the classes"):
        train(tree, ["data.parents=[]"], name="a")
    config = json.loads((tree / "config.json").read_text())
    (tree / "config.json").write_text(json.dumps({**config, "metric": "accuracy"}))
    with pytest.raises(ConfigError, match=r"C08 .*needs parents of the classes"):
        train(tree, ["data.parents=[]", "loss=levels"], name="a")
