"""embed: each fold's network embeds every row; unit vectors, merged over views; what is there is kept."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from kit.config.workspace import Workspace
from kit.data.embeddings import Embeddings
from kit.errors import ConfigError, DataError, InvalidError, KitWarning, RunError
from kit.experiment.prediction_file import restore
from kit.images.cache import Geometry
from kit.images.reader import center_crop, read_image
from kit.model import checkpoints
from kit.model.network import Network
from kit.runs.records import all_records
from kit.stages.prediction.embed import embed, embed_untrained
from kit.stages.training.train import train


def read(root: Path, fold: str = "0", views: str = "plain", run: str = "a") -> Embeddings:
    return Embeddings.read(root / "runs" / run / "embeddings" / views / fold)


def shown(root: Path, name: str) -> torch.Tensor:
    """An image (H, W, 3) as the run's networks are shown it."""
    image = read_image(root / f"data/images/{name}.png", Workspace.open(root).competition.data)
    return torch.from_numpy(center_crop(Geometry(20, "short_side").apply(image), 16, 1.0).copy())


def test_every_folds_network_embeds_every_row(space: Path) -> None:
    (result,) = embed(space, ["runs/a"])
    assert (result.member, result.folds, result.rows) == ("runs/a@plain", ("0", "1"), (60, 12))
    for fold in result.folds:
        embeddings = read(space, fold)
        assert embeddings.train.ids.tolist() == [f"{n:03d}" for n in range(60)]
        assert embeddings.test.ids.tolist() == [f"{n:03d}" for n in range(60, 72)]
        assert embeddings.train.features == embeddings.test.features == result.features
        lengths = np.linalg.norm(embeddings.train.vectors.astype(np.float64), axis=1)
        np.testing.assert_allclose(lengths, 1, atol=1e-3)
    assert not np.allclose(read(space, "0").test.vectors, read(space, "1").test.vectors, atol=0.01)


def test_a_vector_is_the_direction_of_the_mean_of_the_views_unit_features(space: Path) -> None:
    embed(space, ["runs/a"], "hflip")
    model = restore(checkpoints.load(space / "runs/a/fold-1/0002"), space, torch.device("cpu"))
    pixels = shown(space, "065")
    assert isinstance(model.network, Network)
    with torch.no_grad():
        pooled = model.network.embed(torch.stack([pixels, pixels.flip(1)]).permute(0, 3, 1, 2)).double()
    mean = (pooled / pooled.norm(dim=1, keepdim=True)).mean(0)
    embeddings = read(space, "1", "hflip").test
    np.testing.assert_allclose(
        embeddings.vectors[embeddings.ids == "065"][0], (mean / mean.norm()).numpy(), atol=2e-3
    )


def test_what_is_there_is_not_computed_again(space: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    embed(space, ["runs/a/fold-0"])
    (whole,) = embed(space, ["runs/a"])
    assert whole.computed
    assert whole.folds == ("0", "1")
    monkeypatch.setattr(sys.modules["kit.stages.prediction.embed"], "predict_shared", None)
    assert not embed(space, ["runs/a"])[0].computed


def test_a_fold_that_was_trained_again_is_embedded_again(space: Path) -> None:
    embed(space, ["runs/a"])
    before = read(space, "0").provenance.checkpoint
    train(space, name="b", overrides=["seed=1"])
    shutil.rmtree(space / "runs/a/fold-0/0002")
    shutil.copytree(space / "runs/b/fold-0/0002", space / "runs/a/fold-0/0002")
    assert embed(space, ["runs/a"])[0].computed
    assert read(space, "0").provenance.checkpoint != before


def test_a_row_without_an_image_has_zeros(space: Path) -> None:
    (space / "data/images/070.png").write_bytes(b"")
    with pytest.raises(DataError, match="D01"):
        embed(space, ["runs/a"])
    with pytest.warns(KitWarning, match="class prior"):
        embed(Workspace.open(space, ["data.on_unreadable_test=class_prior"]), ["runs/a"])
    embeddings = read(space).test
    assert embeddings.ids[~embeddings.has_image()].tolist() == ["070"]


@pytest.mark.parametrize(("weight", "says"), [(0.0, "all features are zero"), (float("nan"), "length nan")])
def test_features_without_a_direction_are_refused(
    space: Path, monkeypatch: pytest.MonkeyPatch, weight: float, says: str
) -> None:
    plain = Network.embed
    monkeypatch.setattr(Network, "embed", lambda self, images: plain(self, images) * weight)
    with pytest.raises(RunError, match="R09") as caught:
        embed(space, ["runs/a"])
    assert says in str(caught.value)
    assert not (space / "runs/a/embeddings/plain/0").exists()


def test_damaged_embeddings_are_refused_by_their_hash(space: Path) -> None:
    embed(space, ["runs/a"])
    file = space / "runs/a/embeddings/plain/0/train.npy"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(InvalidError, match="D47") as caught:
        read(space)
    assert "train.npy" in str(caught.value)


def test_a_network_without_training_embeds_as_a_run_of_its_own(space: Path) -> None:
    workspace = Workspace.open(space)
    result = embed_untrained(workspace, "bare")
    assert (result.member, result.folds) == ("runs/bare@plain", ("untrained",))
    assert (space / "runs/bare/folds.csv").read_text() == (space / "runs/a/folds.csv").read_text()
    assert not embed_untrained(workspace, "bare").computed
    assert {one.run.name: one.state for one in all_records(workspace)} == {
        "a": "finished",
        "bare": "untrained",
    }
    with pytest.raises(ConfigError, match="C11"):
        embed_untrained(Workspace.open(space, ["image_size=20"]), "bare")
    with pytest.raises(ConfigError, match="C11"):
        train(space, name="bare")


def test_weights_of_a_run_that_saw_held_out_rows_are_refused(space: Path) -> None:
    config = ["backbone.weights=runs/a/fold-0/0002"]
    with pytest.warns(KitWarning, match="W71"), pytest.raises(DataError, match="D61"):
        embed_untrained(Workspace.open(space, config), "leak")
