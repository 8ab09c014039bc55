"""kit final of runs on cached embeddings: heads are trained on the vectors of all rows, and predict the test rows."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from kit.config.workspace import Workspace
from kit.data.embeddings import Embeddings
from kit.data.predictions import Predictions
from kit.data.table import train_table
from kit.errors import ConfigError
from kit.stages.bundles.packing import bundle
from kit.stages.final.final import FinalResult, plan, run_final
from kit.stages.prediction.embed import embed, embed_untrained
from kit.stages.training.train import train
from tests.drawing import draw_competition
from tests.drawn_bags import draw_bags
from tests.torch_heads import train_layer

PROBE = ("backbone=embeddings", "backbone.run=bare", "epochs=3")
PLAIN_SGD = (
    "optimizer=sgd",
    "optimizer.lr=0.1",
    "optimizer.momentum=0",
    "optimizer.weight_decay=0",
    "scheduler=constant",
    "ema_decay=0",
    "seed=3",
)


@pytest.fixture(scope="module")
def probed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with embeddings by an untrained network, and the run `probe` on them."""
    root = draw_competition(tmp_path_factory.mktemp("probed") / "space")
    embed_untrained(Workspace.open(root), "bare")
    train(root, [*PROBE, *PLAIN_SGD], name="probe")
    return root


@pytest.fixture
def fresh(probed: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(probed, tmp_path / "space"))


def final(root: Path, *members: str) -> FinalResult:
    space = Workspace.open(root)
    return run_final(space, plan(space, [f"runs/{name}" for name in members]))


def predicted(root: Path, run: str) -> Predictions:
    return Predictions.read(root / f"runs/{run}/predictions/plain/test.parquet")


def test_a_probe_on_all_rows_equals_torchs_own_training(fresh: Path) -> None:
    result = final(fresh, "probe")
    assert result.runs == ("probe-final",)
    embeddings = Embeddings.read(fresh / "runs/bare/embeddings/plain/untrained")
    labels = train_table(fresh).sort_by_id().targets()
    features = embeddings.train.vectors.astype(np.float64)
    mean, deviation = features.mean(0), features.std(0)
    deviation = np.where(deviation > 1e-6, deviation, 1)
    shown, inputs = (
        torch.as_tensor((each.vectors - mean) / deviation, dtype=torch.float32)
        for each in (embeddings.train, embeddings.test)
    )
    layer = train_layer(shown, labels, np.arange(len(labels)), 3)
    expected = layer(inputs).softmax(1).detach().numpy()
    np.testing.assert_allclose(
        predicted(fresh, "probe-final").align(embeddings.test.ids), expected, atol=2e-5
    )
    assert len(Predictions.read(fresh / "runs/probe-final/predictions/plain/oof.parquet")) == 0
    assert len(pd.read_csv(result.submitted.path)) == 12
    assert final(fresh, "probe").submitted.cv == result.submitted.cv


def test_bags_on_all_rows_give_a_row_for_each_bag(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    bags = [rng.normal(size=(1 + place % 4, 6)) for place in range(20)]
    root = draw_bags(tmp_path / "space", bags, [place % 2 for place in range(20)], train=16)
    ordered = ["backbone=embeddings", "backbone.run=bare", "instances=gru", "instances.hidden=2"]
    train(root, [*ordered, "data.order=slice"], name="bags")
    result = final(root, "bags")
    assert pd.read_csv(result.submitted.path)["bag"].tolist() == [f"b{place:03d}" for place in range(16, 20)]


def test_vectors_of_a_trained_run_are_those_of_its_run_on_all_rows(space: Path) -> None:
    embed(space, ["runs/a"])
    train(space, ["backbone=embeddings", "backbone.run=a", "epochs=1"], name="probe")
    with pytest.raises(ConfigError, match="C33") as caught:
        final(space, "probe")
    assert "kit final runs/a, then kit embed --checkpoints runs/a-final" in str(caught.value)
    train(space, ["splitter=all_rows"], name="a-final", config=space / "runs/a/config.json")
    embed(space, ["runs/a-final"])
    final(space, "probe")
    from kit.model.checkpoints import load

    vectors = Embeddings.read(space / "runs/a-final/embeddings/plain/0").train.vectors
    weights = load(space / "runs/probe-final/fold-0/0001").prediction_weights
    np.testing.assert_allclose(weights["mean"].numpy(), vectors.astype(np.float64).mean(0), atol=1e-5)


def test_a_bundle_of_a_run_on_embeddings_is_refused_before_anything_is_written(
    probed: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="C83") as caught:
        bundle(probed, ["runs/probe"], tmp_path / "bundle")
    assert "a bundle predicts images" in str(caught.value)
    assert not (tmp_path / "bundle").exists()
