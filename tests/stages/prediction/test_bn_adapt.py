"""tta --bn-adapt: statistics of training and of the predicted rows, against torch by hand."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from kit.config.workspace import Workspace
from kit.core.stopping import Stop
from kit.data.predictions import Predictions
from kit.device.precision import Precision
from kit.engine.batches import Batch
from kit.errors import ConfigError, StoppedError
from kit.experiment.prediction_file import restore
from kit.images.cache import Geometry
from kit.images.reader import center_crop, read_image
from kit.kinds.advice import predict_command
from kit.model import checkpoints
from kit.model.bn_adaptation import adapt_batch_norm, choose_batch_rows
from kit.model.predict import Predictor
from kit.runs.run import Run
from kit.stages.final.jobs import find_asked
from kit.stages.prediction.tta import tta
from kit.stages.training.train import train

FLOAT = Precision("float32", "float32", "contiguous")


def read(root: Path, views: str, split: str) -> Predictions:
    return Predictions.read(root / "runs/a/predictions" / views / f"{split}.parquet")


def images_of(root: Path, ids: Sequence[str]) -> Tensor:
    data, shape = Workspace.open(root).competition.data, Geometry(20, "short_side")
    pixels = [
        center_crop(shape.apply(read_image(root / f"data/images/{name}.png", data)), 16, 1.0).copy()
        for name in ids
    ]
    return torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2)


def adapted_by_hand(predictor: Predictor, images: Tensor, prior: int) -> nn.Module:
    """Schneider et al., equation 3, the rows together in one batch."""
    network = deepcopy(predictor.network).eval()
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    before = [(norm.running_mean.clone(), norm.running_var.clone()) for norm in norms]  # type: ignore[union-attr]
    for norm in norms:
        norm.train()
        norm.momentum = 1.0
    share = prior / (prior + len(images))
    with torch.no_grad():
        network(images)
        for norm, (mean, variance) in zip(norms, before, strict=True):
            norm.running_mean = share * mean + (1 - share) * norm.running_mean  # type: ignore[operator]
            norm.running_var = share * variance + (1 - share) * norm.running_var  # type: ignore[operator]
    return network.eval()


@pytest.mark.parametrize("split", ["test", "oof"])
@pytest.mark.parametrize("prior", [0, 16])
def test_each_split_is_predicted_by_statistics_of_its_own_rows(space: Path, split: str, prior: int) -> None:
    (result,) = tta(space, ["runs/a"], "hflip", bn_adapt=prior)
    assert result.member == f"runs/a@hflip-bn{prior}"
    predictions = read(space, f"hflip-bn{prior}", split)
    assert predictions.provenance.bn_adapt == prior
    for fold in (0, 1):
        rows = predictions.take(predictions.folds == fold)
        path = checkpoints.newest(space / f"runs/a/fold-{fold}")
        assert path is not None
        predictor = restore(checkpoints.load(path), space, torch.device("cpu"))
        images = images_of(space, rows.ids.tolist())
        network = adapted_by_hand(predictor, images, prior)
        with torch.no_grad():
            wanted = sum(network(shown).softmax(1) for shown in (images, images.flip(3))) / 2
        np.testing.assert_allclose(rows.probabilities, wanted.numpy(), atol=1e-5)


def test_training_counts_as_so_many_rows(space: Path) -> None:
    tta(space, ["runs/a"], "plain")
    tta(space, ["runs/a"], "plain", bn_adapt=10**9)
    tta(space, ["runs/a"], "plain", bn_adapt=0)
    plain, same, other = (read(space, name, "test") for name in ("plain", f"plain-bn{10**9}", "plain-bn0"))
    np.testing.assert_allclose(same.probabilities, plain.probabilities, atol=1e-5)
    assert np.abs(other.probabilities - plain.probabilities).max() > 1e-3


class Small(nn.Module):
    """Two norms, one of images and one of vectors, and a dropout that must not draw."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.kernel = nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3)
        self.drop, self.second, self.last = nn.Dropout(0.5), nn.BatchNorm1d(64), nn.Linear(64, 2)

    def forward(self, images: Tensor) -> Tensor:
        kept = self.drop(self.kernel(self.first(images.float() / 255)).relu().flatten(1))
        outputs: Tensor = self.last(self.second(kept))
        return outputs


def batches(*sizes: int) -> list[Batch]:
    draws = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (sum(sizes), 3, 6, 6), dtype=torch.uint8, generator=draws)
    return [Batch(part, torch.zeros(len(part)), torch.arange(len(part))) for part in images.split(sizes)]


def test_the_statistics_of_equal_batches_are_torchs_update_bn() -> None:
    reference = Small()
    reference.drop.p = 0.0
    update_bn((batch.images for batch in batches(8, 8, 8)), reference)
    network = adapt_batch_norm(Small(), batches(8, 8, 8), 24, 0, FLOAT)
    for ours, theirs in zip(network.buffers(), reference.buffers(), strict=True):
        torch.testing.assert_close(ours, theirs)
    assert not any(module.training for module in network.modules())
    assert all(norm.momentum == 0.1 for norm in (network.first, network.second))  # type: ignore[union-attr]


def test_batches_of_other_sizes_weigh_their_rows() -> None:
    network = adapt_batch_norm(Small(), batches(8, 4, 3), 15, 0, FLOAT)
    images = torch.cat([batch.images for batch in batches(8, 4, 3)]).float() / 255
    torch.testing.assert_close(network.first.running_mean, images.mean((0, 2, 3)))  # type: ignore[union-attr]
    parts = images.split((8, 4, 3))
    variance = sum(len(part) / 15 * part.transpose(0, 1).flatten(1).var(1) for part in parts)
    torch.testing.assert_close(network.first.running_var, variance)  # type: ignore[union-attr]


@pytest.mark.parametrize("rows", [1, 47, 64, 65, 129, 6401, 1_000_003])
def test_the_last_batch_is_nearly_full(rows: int) -> None:
    size = choose_batch_rows(rows)
    assert 33 <= size <= 64
    assert rows < 64 or (rows % size or size) > 0.9 * size


def test_what_is_there_is_reused_and_a_stopped_command_continues_to_the_same_bits(
    space: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tta(space, ["runs/a"], "hflip", bn_adapt=8)
    wanted = [read(space, "hflip-bn8", split).probabilities for split in ("oof", "test")]
    assert not tta(space, ["runs/a"], "hflip", bn_adapt=8)[0].computed
    for file in (space / "runs/a/predictions/hflip-bn8").glob("*.parquet"):
        file.unlink()
    stop, module = Stop(), sys.modules["kit.stages.prediction.tta"]
    plain = module.predict_shared

    def stopping(*arguments: Any) -> Iterator[Any]:
        for step in plain(*arguments):
            yield step
            stop.requested = 15

    with monkeypatch.context() as context:
        context.setattr(module, "predict_shared", stopping)
        with pytest.raises(StoppedError):
            tta(space, ["runs/a"], "hflip", stop=stop, bn_adapt=8)
    assert (space / "runs/a/predictions/hflip-bn8/oof.unfinished.parquet").exists()
    tta(space, ["runs/a"], "hflip", bn_adapt=8)
    for split, before in zip(("oof", "test"), wanted, strict=True):
        np.testing.assert_array_equal(read(space, "hflip-bn8", split).probabilities, before)


BACKBONE = '''"""A kernel without a norm."""

from torch import nn

from kit.kinds import Backbone


class Bare(Backbone):
    """A kernel without a norm."""

    def build(self) -> nn.Module:
        return nn.Conv2d(3, 8, 3)
'''


def test_a_network_without_batch_norm_is_refused(competition: Path) -> None:
    (competition / "plugins/backbone").mkdir(parents=True)
    (competition / "plugins/backbone/bare.py").write_text(BACKBONE)
    train(Workspace.open(competition, ["backbone=bare", "epochs=1"]), name="r")
    with pytest.raises(ConfigError, match="C90 runs/r has no batch norm"):
        tta(competition, ["runs/r"], "plain", bn_adapt=16)


def test_an_executor_is_refused(space: Path) -> None:
    with pytest.raises(ConfigError, match="C90.*executor splits them"):
        tta(Workspace.open(space, ["executor=processes"]), ["runs/a"], "plain", bn_adapt=16)


def test_kit_final_refuses_it_and_hints_name_the_option(space: Path) -> None:
    tta(space, ["runs/a"], "hflip", "geometric", bn_adapt=16)
    provenance = read(space, "hflip-geometric-bn16", "test").provenance
    command = predict_command("a", "hflip-geometric-bn16", space, provenance)
    assert command == "kit tta --checkpoints runs/a --views hflip --merge geometric --bn-adapt 16"
    with pytest.raises(ConfigError, match="C33.*adapts batch norm"):
        find_asked(Workspace.open(space), "a@hflip-geometric-bn16", Run(space / "runs/a"))
