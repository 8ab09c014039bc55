"""A file of weights shows its network: by metadata, by its name, by the names and shapes of its tensors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from kit.device import torch_internals
from kit.errors import CheckpointError, ConfigError
from kit.stages.discovery.weights_file import NETWORKS, digest, identify

torch_internals.prepare_torchvision()
import timm  # noqa: E402 - torchvision must be prepared first


def state(arch: str, classes: int = 1000) -> dict[str, Tensor]:
    """A network's weights, without memory."""
    with torch.device("meta"):
        return dict(timm.create_model(arch, num_classes=classes).state_dict())


def filled(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: torch.zeros(value.shape, dtype=value.dtype) for name, value in weights.items()}


@pytest.mark.parametrize(
    "arch", ["resnet10t", "mobilenetv3_small_050", "vit_tiny_patch16_224", "convnext_atto"]
)
def test_the_list_has_the_tensors_of_timms_networks(arch: str) -> None:
    lines = {line.split()[0]: line.split()[1:] for line in NETWORKS.read_text().splitlines()}
    shapes = {name: tuple(value.shape) for name, value in state(arch).items()}
    assert lines[arch] == [digest(shapes), digest(shapes, names=False)]
    assert len(lines) > 1300


@pytest.mark.parametrize("prefix", ["", "module.", "model.backbone."])
def test_names_and_shapes_show_the_network_whatever_the_classes_and_the_prefix(
    tmp_path: Path, prefix: str
) -> None:
    weights = {prefix + name: value for name, value in filled(state("resnet10t", classes=7)).items()}
    torch.save({"state_dict": weights, "epoch": 3}, tmp_path / "best.pth")
    network = identify(tmp_path / "best.pth")
    assert network.arch == "resnet10t"
    assert network.others == ()
    assert "names and shapes" in network.why


def test_shapes_show_the_network_of_a_file_with_other_names(tmp_path: Path) -> None:
    weights = filled(state("resnet10t"))
    save_file(
        {f"_{name}".replace("layer", "stage"): value for name, value in weights.items()},
        tmp_path / "a.safetensors",
    )
    network = identify(tmp_path / "a.safetensors")
    assert network.arch == "resnet10t"
    assert network.why.startswith("the shapes of its")


def test_the_name_of_the_file_decides_between_networks_of_the_same_tensors(tmp_path: Path) -> None:
    weights = filled(state("tf_efficientnet_lite0"))
    for name in ("weights", "tf_efficientnet_lite0-0aa007d2", "efficientnet-lite0-57934424"):
        save_file(weights, tmp_path / f"{name}.safetensors")
    unnamed = identify(tmp_path / "weights.safetensors")
    assert {unnamed.arch, *unnamed.others} == {"efficientnet_lite0", "tf_efficientnet_lite0"}
    named = identify(tmp_path / "tf_efficientnet_lite0-0aa007d2.safetensors")
    assert (named.arch, named.others) == ("tf_efficientnet_lite0", ("efficientnet_lite0",))
    assert identify(tmp_path / "efficientnet-lite0-57934424.safetensors").arch == "efficientnet_lite0"


def test_metadata_and_the_config_beside_the_file_come_first(tmp_path: Path) -> None:
    weights = {"a": torch.zeros(2)}
    config = json.dumps({"architecture": "resnet18d", "tag": "ra2_in1k"})
    save_file(weights, tmp_path / "one.safetensors", metadata={"pretrained_cfg": config})
    assert identify(tmp_path / "one.safetensors").arch == "resnet18d"
    folder = tmp_path / "hub"
    folder.mkdir()
    save_file(weights, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"architecture": "convnext_atto", "num_classes": 1000}))
    network = identify(folder / "model.safetensors")
    assert (network.arch, network.why) == ("convnext_atto", "the file or the config.json beside it names it")
    (folder / "config.json").write_text(json.dumps({"architecture": "LlamaForCausalLM"}))
    with pytest.raises(ConfigError, match="C52"):
        identify(folder / "model.safetensors")


def test_tensors_of_no_network_are_reported(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(3, 3)}, tmp_path / "x.pt")
    with pytest.raises(ConfigError, match="no network of timm") as caught:
        identify(tmp_path / "x.pt")
    assert caught.value.code == "C52"


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no weights file") as caught:
        identify(tmp_path / "there.is.none")
    assert caught.value.code == "D51"
    torch.save(Path("code"), tmp_path / "code.pt")
    with pytest.raises(CheckpointError, match="cannot read") as caught:
        identify(tmp_path / "code.pt")
    assert caught.value.code == "D50"
    (tmp_path / "page.safetensors").write_text("<html>")
    with pytest.raises(CheckpointError) as caught:
        identify(tmp_path / "page.safetensors")
    assert caught.value.code == "D50"
