"""merge: a head on cached embeddings and its network make a run on images, which predicts the same."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from kit.commands._menu import run
from kit.config.workspace import Workspace
from kit.data.predictions import Predictions
from kit.data.table import train_table
from kit.errors import ConfigError, InvalidError
from kit.experiment.prediction_file import restore
from kit.model import checkpoints
from kit.stages.bundles.packing import bundle
from kit.stages.bundles.predicting import predict_bundle
from kit.stages.bundles.prediction import PredictionInput
from kit.stages.prediction.embed import embed, embed_untrained
from kit.stages.prediction.tta import tta
from kit.stages.training.merge import merge_heads
from kit.stages.training.train import train
from tests.blends import submit_blend
from tests.drawing import draw_competition
from tests.drawn_columns import draw_columns

PROBE = ("backbone=embeddings", "epochs=8", "optimizer.lr=0.02")


@pytest.fixture(scope="module")
def probed_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = draw_competition(tmp_path_factory.mktemp("merged") / "space")
    embed_untrained(Workspace.open(root, ["pooling=gem"]), "bare")
    train(root, [*PROBE, "backbone.run=bare"], name="probe")
    return root


@pytest.fixture
def probed(probed_once: Path, tmp_path: Path) -> Path:
    """A workspace with a linear probe on the vectors of an untrained network."""
    return Path(shutil.copytree(probed_once, tmp_path / "space"))


def read(root: Path, run: str, split: str = "oof") -> Predictions:
    return Predictions.read(root / f"runs/{run}/predictions/plain/{split}.parquet")


def difference(one: Predictions, other: Predictions) -> float:
    assert one.ids.tolist() == other.ids.tolist()
    assert one.folds.tolist() == other.folds.tolist()
    return float(np.abs(one.probabilities - other.probabilities).max())


def test_the_merged_run_predicts_as_the_head_and_is_an_ordinary_run(probed: Path) -> None:
    result = merge_heads(probed, "runs/probe", "whole")
    assert result.folds == (0, 1)
    assert difference(read(probed, "whole"), read(probed, "probe")) < 5e-3
    tta(probed, ["runs/whole"], views="plain")
    tta(probed, ["runs/whole"], views="hflip")
    assert difference(read(probed, "whole", "test"), read(probed, "probe", "test")) < 5e-3
    submitted = submit_blend(probed, ["whole@hflip", "probe"])
    assert submitted.rows == 60
    again = merge_heads(probed, "probe", "whole")
    assert again.difference == result.difference


def test_the_command_prints_the_run_and_how_to_fine_tune_it(
    probed: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(probed)
    assert run(["merge", "runs/probe", "--name", "whole"]) == 0
    printed = capsys.readouterr()
    assert printed.out == "runs/whole\n"
    pooling = '{"name":"standardised","base":{"name":"gem","power":3.0,"learned":true},"features":16}'
    assert f"init_from=runs/whole 'pooling={pooling}'" in printed.err
    assert run(["merge", "runs/probe", "--name", "whole", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["run"], report["heads"], report["folds"]) == ("runs/whole", "runs/probe", [0, 1])


def test_a_merged_network_is_torchs_backbone_then_the_standardised_head(probed: Path) -> None:
    merge_heads(probed, "runs/probe", "whole")
    whole = checkpoints.load(probed / "runs/whole/fold-1/0001").prediction_weights
    head = checkpoints.load(probed / "runs/probe/fold-1/0008").prediction_weights
    with torch.random.fork_rng():
        torch.manual_seed(0)
        features = torch.rand(3, 16, 4, 4)
    power = whole["pooling.base.power"]
    pooled = features.clamp(min=1e-6).pow(power).mean((2, 3)).pow(1 / power)
    vectors = (nn.functional.normalize(pooled, dim=1) - head["mean"]) * head["scale"]
    checkpoint = checkpoints.load(probed / "runs/whole/fold-1/0001")
    network = restore(checkpoint, probed, torch.device("cpu")).network
    torch.testing.assert_close(network.pooling(features), vectors)  # type: ignore[operator]
    expected = nn.functional.linear(vectors, head["head.1.weight"], head["head.1.bias"])
    torch.testing.assert_close(network.head(vectors), expected)  # type: ignore[operator]


def test_heads_of_a_trained_network_get_each_folds_own(space: Path) -> None:
    embed(space, ["runs/a"])
    train(space, [*PROBE, "backbone.run=a", "head=mlp", "head.hidden=8"], name="probe")
    merge_heads(space, "runs/probe", "whole")
    assert difference(read(space, "whole"), read(space, "probe")) < 5e-3


def test_side_columns_and_bundles_stay_what_they_were(tmp_path: Path) -> None:
    root = draw_columns(tmp_path / "space")
    embed_untrained(Workspace.open(root), "bare")
    train(root, [*PROBE, "backbone.run=bare", "columns=mlp"], name="probe")
    merge_heads(root, "runs/probe", "whole")
    assert difference(read(root, "whole"), read(root, "probe")) < 5e-3
    with pytest.raises(ConfigError, match="kit merge runs/probe"):
        bundle(root, ["runs/probe"], tmp_path / "none")
    tta(root, ["runs/whole"], views="plain")
    bundle(root, ["runs/whole@plain"], tmp_path / "bundle")
    given = PredictionInput(
        root / "data/images", root / "data/sample_submission.csv", test=root / "data/test.csv"
    )
    out = predict_bundle(tmp_path / "bundle", given, tmp_path / "out.csv", tmp_path / "work")
    assert len(out.read_text().splitlines()) == 13


def test_fine_tuning_starts_from_a_merged_run(probed: Path) -> None:
    merge_heads(probed, "runs/probe", "whole")
    options = ["init_from=runs/whole", "pooling=standardised", "pooling.base=gem", "pooling.features=16"]
    train(probed, [*options, "epochs=1", "optimizer.lr=1e-9", "ema_decay=0"], name="tuned")
    labels = train_table(probed).sort_by_id().targets()
    scores = [(read(probed, name).probabilities.argmax(1) == labels).mean() for name in ("whole", "tuned")]
    assert abs(scores[0] - scores[1]) < 0.1


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (('backbone.run=["bare", "other"]',), "vectors of 2 runs"),
        (("backbone.run=bare@hflip",), "averages vectors over views"),
    ],
)
def test_vectors_that_no_network_gives_are_refused(probed: Path, overrides: Sequence[str], says: str) -> None:
    shutil.copytree(probed / "runs/bare", probed / "runs/other")
    embed_untrained(Workspace.open(probed, ["pooling=gem"]), "bare", views="hflip")
    train(probed, [*PROBE, *overrides, "epochs=1"], name="two")
    with pytest.raises(ConfigError, match="C16") as caught:
        merge_heads(probed, "runs/two", "whole")
    assert says in str(caught.value)


def test_a_run_on_images_and_other_initial_weights_are_refused(probed: Path) -> None:
    train(probed, ["epochs=1"], name="images")
    with pytest.raises(ConfigError, match="C15 .*nothing to merge"):
        merge_heads(probed, "runs/images", "whole")
    head = probed / "runs/probe/fold-0/oof.parquet"
    predictions = Predictions.read(head)
    replace(predictions, probabilities=np.roll(predictions.probabilities, 1, axis=1)).write(head)
    with pytest.raises(InvalidError, match="D48") as caught:
        merge_heads(probed, "runs/probe", "whole")
    assert "does not give the predictions" in str(caught.value)
