"""The fine-tuning recipe follows network, device and data, and gives a reason for each choice."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import save_file

from kit.commands.init import command
from kit.config.workspace import Workspace
from kit.data.table import train_table
from kit.device import torch_internals
from kit.device.torch_internals import build_without_memory
from kit.errors import ConfigError
from kit.model.network import build, classes_from_table, freeze, open_parts
from kit.stages.discovery import finetuning
from kit.stages.discovery.finetuning import (
    ARCHS,
    FINETUNE,
    STEPS,
    WITHOUT_BATCH_NORM,
    Start,
    choose_arch,
    early_modules,
    fit_epochs,
    tune,
)
from kit.stages.discovery.initialise import initialise
from tests.drawn_tables import usual

torch_internals.prepare_torchvision()
import timm  # noqa: E402 - torchvision must be prepared first


def test_a_network_with_batch_norm_gets_one_rate_for_all_layers() -> None:
    chosen, lines = tune(Start("resnet18", "as asked for"), 500, 2936)
    assert chosen["optimizer"] == FINETUNE["optimizer"]
    assert "layer_decay" not in chosen
    assert "network: resnet18 (as asked for)" in lines
    assert any("a network with batch norm" in line for line in lines)


@pytest.mark.parametrize("arch", ["vit_tiny_patch16_224", "convnext_atto"])
def test_a_network_without_batch_norm_gets_a_rate_for_each_layer(arch: str) -> None:
    chosen, lines = tune(Start(arch, "as asked for"), 500, 2936)
    assert chosen["optimizer"]["lr"] == WITHOUT_BATCH_NORM["lr"]
    assert chosen["layer_decay"] == WITHOUT_BATCH_NORM["layer_decay"]
    assert any("a network without batch norm" in line for line in lines)


@pytest.mark.parametrize(
    ("arch", "early"),
    [
        ("tf_efficientnet_lite0", ["conv_stem", "bn1", "blocks.0", "blocks.1"]),
        ("resnet18", ["conv1", "bn1", "layer1"]),
        ("regnetx_002", ["stem", "s1"]),
        ("densenet121", ["features.conv0", "features.norm0", "features.denseblock1"]),
        ("hrnet_w18_small", []),  # timm names no module that gives these features
    ],
)
def test_the_modules_up_to_a_quarter_of_the_size_are_frozen(arch: str, early: list[str]) -> None:
    """By hand from each network's definition in timm: the modules that run before the maps are halved a third time."""
    assert early_modules(build_without_memory(lambda: timm.create_model(arch))) == early
    chosen, lines = tune(Start(arch, "as asked for"), 500, 2936)
    assert chosen.get("stages", []) == (
        [{"freeze": [f"backbone.model.{name}" for name in early]}] if early else []
    )
    assert any(line.startswith("frozen: ") for line in lines) == bool(early)


def test_frozen_modules_keep_their_weights_and_statistics(weights: Path) -> None:
    initialise(weights, weights=weights / "w/start.safetensors")
    space = Workspace.open(weights)
    (section,) = space.experiment.stages
    parts = open_parts(space.experiment, weights, classes_from_table(train_table(space)))
    network = build(parts, 2, 64)
    freeze(network, section.freeze)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    network(torch.rand(2, 3, 64, 64)).sum().backward()
    moved = {name for name, value in network.named_parameters() if value.grad is not None}
    moved |= {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}
    early = ("backbone.model.conv1.", "backbone.model.bn1.", "backbone.model.layer1.")
    assert not any(name.startswith(early) for name in moved)
    assert {name.split(".")[2] for name in moved if name.startswith("backbone")} == {
        "layer2",
        "layer3",
        "layer4",
    }


def test_a_network_of_one_image_size_gets_that_size() -> None:
    chosen, lines = tune(Start("vit_tiny_patch16_224", ""), 128, None)
    assert chosen["image_size"] == 224
    assert "image size: 224 px (the network takes no other size)" in lines


@pytest.mark.parametrize(
    ("side", "size", "cache"),
    [
        (None, 224, None),
        (64, 128, 64),
        (128, 160, 128),
        (160, 192, 160),
        (192, 224, 192),
        (240, 224, 240),
        (280, 224, None),
        (1000, 224, None),
    ],
)
def test_the_size_follows_the_images_and_the_cache_does_not_enlarge_them(
    side: int | None, size: int, cache: int | None
) -> None:
    chosen, _ = tune(Start("resnet18", ""), side, None)
    assert (chosen["image_size"], chosen["cache_size"]) == (size, cache)


@pytest.mark.parametrize(("rows", "epochs"), [(100, 40), (2936, 13), (1500, 24), (100_000, 5)])
def test_epochs_give_about_the_same_number_of_steps(rows: int, epochs: int) -> None:
    assert fit_epochs(rows) == epochs
    assert 5 < epochs < 40 or rows in (100, 100_000)
    if epochs not in (5, 40):
        assert abs(epochs * 0.8 * rows / 32 - STEPS) <= 0.8 * rows / 32


def test_the_network_follows_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_arch() == (ARCHS["cpu"], "cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_arch() == (ARCHS["cuda"], "cuda")
    assert all(timm.is_model_pretrained(arch) for arch in ARCHS.values())


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A competition and, in its folder, weights of resnet10t in a file that does not name it."""
    root = usual(tmp_path / "space")
    (root / "w").mkdir()
    save_file(dict(timm.create_model("resnet10t").state_dict()), root / "w/start.safetensors")
    return root


def test_a_file_of_weights_sets_the_network_and_its_path(weights: Path) -> None:
    result = CliRunner().invoke(
        command, [str(weights), "--weights", str(weights / "w/start.safetensors"), "--json"]
    )
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["recipe"] == "finetune"
    assert "network: resnet10t (the names and shapes of its" in result.stderr
    space = Workspace.open(weights)
    backbone = space.experiment.backbone
    assert (backbone["arch"], backbone["pretrained"], backbone["weights"]) == (
        "resnet10t",
        False,
        "w/start.safetensors",
    )
    parts = open_parts(space.experiment, weights, classes_from_table(train_table(space)))
    loaded = parts.backbone.build().state_dict()
    start = timm.create_model("resnet10t", num_classes=0).state_dict()
    assert {name.removeprefix("model.") for name in loaded} >= set(start)


def test_a_file_elsewhere_is_named_in_full(weights: Path) -> None:
    elsewhere = weights.parent / "start.safetensors"
    (weights / "w/start.safetensors").rename(elsewhere)
    initialise(weights, weights=elsewhere)
    assert Workspace.open(weights).experiment.backbone["weights"] == str(elsewhere)


def test_a_network_that_is_named_is_taken(weights: Path) -> None:
    initialise(weights, weights=weights / "w/start.safetensors", network="resnet14t")
    assert Workspace.open(weights).experiment.backbone["arch"] == "resnet14t"
    initialise(weights, network="resnet18", force=True)
    backbone = Workspace.open(weights).experiment.backbone
    assert (backbone["arch"], backbone["pretrained"]) == ("resnet18", True)
    with pytest.raises(ConfigError, match="did you mean") as caught:
        initialise(weights, network="resnet19", force=True)
    assert caught.value.code == "C07"


def test_weights_and_scratch_exclude_each_other(weights: Path) -> None:
    with pytest.raises(ConfigError, match="without weights") as caught:
        initialise(weights, "scratch", weights=weights / "w/start.safetensors")
    assert caught.value.code == "C05"


def test_the_time_sets_epochs_and_size(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from kit.stages.profiling import time_budget

    budget = time_budget.Budget(7, 96, 1234.0, 55.0)
    monkeypatch.setattr(
        time_budget, "fit_time", lambda root, config, seconds: budget if seconds == 1200 else None
    )
    result = CliRunner().invoke(command, [str(weights), "--network", "resnet10t", "--time", "20m"])
    assert result.exit_code == 0, result.output
    assert "time: 7 epochs at 96 px, about 21m per network (55 images/s measured here)" in result.stderr
    assert "epochs: " not in result.stderr.replace("time: 7 epochs", "")
    experiment = Workspace.open(weights).experiment
    assert (experiment.epochs, experiment.image_size) == (7, 96)


def test_reasons_are_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finetuning, "choose_arch", lambda: (ARCHS["cpu"], "cpu"))
    result = initialise(usual(tmp_path), "finetune")
    lines = "\n".join(result.findings)
    for word in ("network: ", "rate: ", "image size: ", "epochs: "):
        assert word in lines
