"""Side columns beside cached embeddings: a head equals torch's own training, and what does not apply is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from kit.config.workspace import Workspace
from kit.data.embeddings import Embeddings
from kit.data.folds import Folds
from kit.data.predictions import Predictions
from kit.data.table import train_table
from kit.errors import ConfigError
from kit.model import checkpoints
from kit.stages.final.final import plan, run_final
from kit.stages.prediction.embed import embed_untrained
from kit.stages.training.train import train
from tests.blends import submit_blend
from tests.drawn_columns import draw_columns
from tests.torch_heads import train_layer

PROBE = ("backbone=embeddings", "backbone.run=bare", "epochs=3", "columns=concat")
PLAIN_SGD = (
    "optimizer=sgd optimizer.lr=0.1 optimizer.momentum=0 optimizer.weight_decay=0 scheduler=constant "
    "ema_decay=0 columns.drop=0"
)
TWO = ('data.columns=["site","turn"]', 'data.column_kinds={"turn":"number"}')


@pytest.fixture(scope="module")
def embedded_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = draw_columns(tmp_path_factory.mktemp("embedded") / "space")
    embed_untrained(Workspace.open(root), "bare")
    return root


@pytest.fixture
def embedded(embedded_once: Path, tmp_path: Path) -> Path:
    """Images of noise, columns that decide, and embeddings by an untrained network as the run `bare`."""
    return Path(shutil.copytree(embedded_once, tmp_path / "space"))


def sides(root: Path, split: str, fitted: np.ndarray) -> np.ndarray:
    """Values of the columns site and turn by hand, (rows, 5): arm, leg, no flag, scaled turn, no flag."""
    tables = {name: pd.read_csv(root / f"data/{name}.csv") for name in ("train", "test")}
    turns, cells = tables["train"]["turn"].to_numpy(float)[fitted], tables[split]
    values = np.zeros((len(cells), 5), np.float32)
    values[:, 0], values[:, 1] = cells["site"] == "arm", cells["site"] == "leg"
    values[:, 3] = (cells["turn"] - turns.mean()) / turns.std()
    return values


def test_a_head_on_vectors_and_columns_equals_torchs_own_training(embedded: Path) -> None:
    train(embedded, [*PROBE, *PLAIN_SGD.split(), *TWO, "seed=3"], name="probe")
    vectors = Embeddings.read(embedded / "runs/bare/embeddings/plain/untrained")
    folds, labels = Folds.read(embedded / "runs/bare/folds.csv"), train_table(embedded).sort_by_id().targets()
    files = {
        split: Predictions.read(embedded / f"runs/probe/predictions/plain/{split}.parquet")
        for split in ("oof", "test")
    }
    for fold in range(2):
        rows, held = np.flatnonzero(~folds.oof_mask(fold)), np.flatnonzero(folds.oof_mask(fold))
        own = vectors.train.vectors.astype(np.float32)
        mean, deviation = own[rows].mean(0, dtype=np.float64), own[rows].std(0, dtype=np.float64)
        deviation = np.where(deviation > 1e-6, deviation, 1)
        inputs = {
            split: torch.from_numpy(
                np.hstack([(part.vectors - mean) / deviation, sides(embedded, split, rows)]).astype(
                    np.float32
                )
            )
            for split, part in (("train", vectors.train), ("test", vectors.test))
        }
        layer = train_layer(inputs["train"], labels, rows, 2, fold)
        expected = {"oof": inputs["train"][held], "test": inputs["test"]}
        for split, values in expected.items():
            probabilities = files[split].probabilities[files[split].folds == fold]
            np.testing.assert_allclose(probabilities, layer(values).softmax(1).detach().numpy(), atol=2e-5)


def test_columns_decide_where_vectors_know_nothing_and_the_run_blends(embedded: Path) -> None:
    train(embedded, [*PROBE, "columns=mlp", "epochs=20"], name="columns")
    train(embedded, [*PROBE[:2], "epochs=20"], name="probe")
    labels = train_table(embedded).sort_by_id().targets()
    correct = {}
    for name in ("columns", "probe"):
        predictions = Predictions.read(embedded / f"runs/{name}/predictions/plain/oof.parquet")
        correct[name] = (predictions.align(train_table(embedded).sort_by_id().ids).argmax(1) == labels).mean()
    assert correct["columns"] > 0.9 > 0.75 > correct["probe"]
    submit_blend(embedded, ["columns", "probe"])
    encoder = checkpoints.provenance_of(embedded / "runs/columns/fold-0/0020").encoder()
    assert encoder is not None
    assert encoder.names == ("age", "site", "taken", "turn")


def test_a_final_run_takes_the_columns_of_all_rows(embedded: Path) -> None:
    train(embedded, [*PROBE, "columns=mlp", "epochs=20"], name="probe")
    space = Workspace.open(embedded)
    run_final(space, plan(space, ["runs/probe"]))
    predictions = Predictions.read(embedded / "runs/probe-final/predictions/plain/test.parquet")
    assert (predictions.probabilities.argmax(1) == np.arange(12) % 2).mean() > 0.9


def test_changed_cells_are_other_data(embedded: Path) -> None:
    train(embedded, PROBE, name="probe")
    table = embedded / "data/train.csv"
    table.write_text(table.read_text().replace(",leg,", ",arm,", 1))
    (embedded / "runs/probe/fold-1/oof.parquet").unlink(missing_ok=True)
    with pytest.raises(Exception, match="D60"):
        train(embedded, PROBE, name="probe")


def test_columns_of_bags_are_refused(embedded_once: Path) -> None:
    with pytest.raises(ConfigError, match="C83") as caught:
        train(embedded_once, [*PROBE, "instances=mean", "data.answer=site"], name="refused")
    assert "columns with instances" in str(caught.value)
