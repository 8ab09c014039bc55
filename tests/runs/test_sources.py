"""What a run remembers of its plugins: their own code, what they derive from, and the files they read."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch

from kit.errors import DataError
from kit.kinds import Augmenter, Backbone, Loss
from kit.runs.run import plugin_hashes
from kit.stages.prediction.tta import tta
from kit.stages.training.train import train
from tests.drawing import draw_competition

HELPER = "SHARE = 0.5\n"
PARENT = '''"""Source: none."""
from kit.kinds import Loss
from ._share import SHARE

class Half(Loss):
    """Half. Source: none."""
    def rows(self, outputs, labels):
        return outputs.sum(1) * SHARE
'''


@pytest.fixture
def space(tmp_path: Path) -> Path:
    folder = tmp_path / "plugins" / "loss"
    folder.mkdir(parents=True)
    (folder / "_share.py").write_text(HELPER)
    (folder / "half.py").write_text(PARENT)
    return tmp_path


def test_nested_plugins_are_named_each() -> None:
    hashes = plugin_hashes([Loss.open({"name": "cutmix", "base": {"name": "arcface", "base": "focal"}})])
    assert list(hashes) == ["loss/arcface", "loss/cutmix", "loss/focal"]
    assert len(set(hashes.values())) == 3


@pytest.mark.parametrize("file", ["half.py", "_share.py"])
def test_a_change_of_its_file_or_of_a_helper_beside_it_is_seen(space: Path, file: str) -> None:
    plugin = Loss.open("half", space)
    before = plugin_hashes([plugin])
    changed = space / "plugins" / "loss" / file
    changed.write_text(changed.read_text() + "# another line\n")
    assert plugin_hashes([plugin]) != before


def test_what_it_derives_from_counts() -> None:
    from kit.runs.run import code_of

    assert {"heavy.py", "light.py"} <= {file.name for file in code_of(type(Augmenter.open("heavy")))}


def test_the_content_of_a_weights_file_counts(tmp_path: Path) -> None:
    file = tmp_path / "weights.safetensors"
    file.write_bytes(b"one")
    plugin = Backbone.open({"name": "timm", "weights": str(file)})
    before = plugin_hashes([plugin])
    file.write_bytes(b"two")
    assert plugin_hashes([plugin]) != before


def test_predicting_needs_no_starting_weights_and_resuming_needs_the_same(tmp_path: Path) -> None:
    weights = {"name": "timm", "arch": "resnet10t", "weights": "w.pt"}
    space = draw_competition(tmp_path / "space", backbone=weights, image_size=32, epochs=1)
    start = Backbone.open({"name": "timm", "arch": "resnet10t"}).build().state_dict()
    state = {key.removeprefix("model."): value for key, value in start.items()}
    torch.save(state, space / "w.pt")
    train(space, name="r", folds=[0])
    torch.save({"state_dict": state}, space / "w.pt")
    with pytest.raises(DataError, match=r"D60[\s\S]*plugins backbone/timm w.pt: \w{12} then, \w{12} now"):
        train(space, name="r")
    (space / "w.pt").unlink()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        (result,) = tta(space, ["runs/r"], "hflip")
    assert (result.folder / "test.parquet").is_file()
    assert [str(each.message)[:3] for each in caught] == ["W13"]  # the other fold is still to be trained
