"""kit init fine-tunes from the weights that are attached to a notebook, if there is no doubt which."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from kit.device.torch_internals import import_timm
from kit.stages.discovery.attached_weights import find_attached_weights
from kit.stages.discovery.initialise import initialise
from tests.drawn_tables import make, usual


@pytest.fixture
def attached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Kaggle's input folder with a competition and an earlier output of kit; the working folder is the current one."""
    monkeypatch.setenv("KIT_KAGGLE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    (tmp_path / "working").mkdir()
    monkeypatch.chdir(tmp_path / "working")
    usual(tmp_path / "input" / "competitions" / "leaves")
    make(tmp_path / "input" / "first", {"config.json": "{}", "runs/r/fold-0/0012/model.safetensors": ""})
    return tmp_path / "input"


def weights(file: Path, arch: str = "mobilenetv3_small_050") -> Path:
    """Weights of a small network, all zero."""
    with torch.device("meta"):
        shapes = import_timm().create_model(arch).state_dict()
    file.parent.mkdir(parents=True)
    save_file({name: torch.zeros(value.shape, dtype=value.dtype) for name, value in shapes.items()}, file)
    return file


def test_the_only_file_is_used(attached: Path) -> None:
    file = weights(attached / "datasets" / "ann" / "mobile" / "deep" / "model.safetensors")
    make(file.parent, {"optimizer.pt": "", "config.json": "{}"})
    result = initialise(attached.parent / "working")
    config = json.loads(result.path.read_text())
    assert (result.recipe, result.why) == ("finetune", "weights are attached")
    assert config["backbone"]["weights"] == str(file)
    assert config["backbone"]["arch"] == "mobilenetv3_small_050"
    assert f"weights: {file} is attached; kit init --recipe scratch trains without it" in result.findings
    result = initialise(attached.parent / "working", "scratch", force=True)
    assert "weights" not in json.loads(result.path.read_text())["backbone"]


def test_several_files_are_listed_and_none_is_taken(attached: Path) -> None:
    make(attached / "models", images=["a.pth", "b.pth"])
    result = initialise(attached.parent / "working")
    line = (
        f"2 attached weights files: {attached}/models/a.pth, {attached}/models/b.pth; kit init --weights FILE"
    )
    assert any(text.startswith(line) for text in result.findings)
    assert result.recipe == "scratch"


def test_a_file_that_fits_no_network_is_named(attached: Path) -> None:
    (attached / "other").mkdir()
    save_file({"a": torch.zeros(3)}, attached / "other" / "x.safetensors")
    weights_file, lines = find_attached_weights(attached / "competitions" / "leaves")
    assert weights_file is None
    assert lines[0].startswith("attached weights not used: x.safetensors: its 1 tensors")


def test_weights_within_the_competition_are_left_alone(attached: Path) -> None:
    make(attached / "competitions" / "leaves", images=["hint.pth"])
    assert find_attached_weights(attached / "competitions" / "leaves") == (None, [])
