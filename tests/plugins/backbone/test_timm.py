"""The networks of timm that competitors name most are built, trained a step and filled from local files."""

from __future__ import annotations

import os
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor

from kit.config.models import Experiment
from kit.errors import CheckpointError, KitWarning
from kit.kinds import Backbone, Classes
from kit.model import network
from kit.runs.run import plugin_hashes

FEATURES = {
    "darknet53": 1024, "eca_nfnet_l0": 2304, "nf_resnet50": 2048, "efficientnet_b0": 1280,
    "tf_efficientnetv2_b0": 1280, "resnet18": 512, "mobilenetv3_large_100": 1280, "ghostnet_100": 1280,
}  # fmt: skip
CLASSES = Classes(("a", "b", "c"), (5, 3, 2))
PARTS = network.open_parts(Experiment.model_validate({"backbone": "small", "image_size": 64}), None, CLASSES)
Weights = dict[str, Tensor]


def opened(arch: str, **options: object) -> Backbone:
    return Backbone.open({"name": "timm", "arch": arch, **options})


def weights_of(backbone: Backbone) -> Weights:
    """The weights as timm itself names them, after those of a file are put in."""
    parts = replace(PARTS, backbone=backbone)
    state = network.build(parts, 3, backbone.input_size() or 64).backbone.state_dict()
    return {key.removeprefix("model."): value for key, value in state.items()}


@pytest.fixture(scope="module")
def tiny() -> Weights:
    torch.manual_seed(3)
    return weights_of(opened("resnet10t"))


def loaded(file: Path, arch: str = "resnet10t", **options: object) -> Weights:
    torch.manual_seed(4)
    return weights_of(opened(arch, weights=str(file), **options))


def same(state: Weights, wanted: Weights) -> bool:
    return state.keys() == wanted.keys() and all(torch.equal(state[key], wanted[key]) for key in wanted)


@pytest.mark.parametrize("arch", FEATURES)
@torch.inference_mode()
def test_convolutional_networks_give_a_finite_map_at_64_px(arch: str) -> None:
    features = opened(arch).build().eval()(torch.randn(2, 3, 64, 64))
    assert features.shape == (2, FEATURES[arch], 2, 2)
    assert torch.isfinite(features).all()


@torch.inference_mode()
def test_a_transformer_gives_its_patches_without_the_class_token() -> None:
    backbone = opened("vit_tiny_patch16_224", img_size=64)
    features = backbone.build().eval()(torch.randn(2, 3, 64, 64))
    assert backbone.input_size() == 64
    assert features.shape == (2, 16, 192)
    assert torch.isfinite(features).all()


@pytest.mark.parametrize("spec", [{"arch": "resnet18"}, {"arch": "vit_tiny_patch16_224", "img_size": 64}])
def test_a_step_with_arcface_and_gem_moves_every_part(spec: dict[str, object]) -> None:
    keys = {"backbone": {"name": "timm", **spec}, "loss": "arcface", "pooling": "gem", "image_size": 64}
    parts = network.open_parts(Experiment.model_validate(keys), None, CLASSES)
    torch.manual_seed(0)
    model = network.build(parts, 3, 64)
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    costs = parts.loss.rows(model(images), torch.tensor([0, 2]))
    assert torch.isfinite(costs).all()
    costs.mean().backward()
    torch.optim.SGD(model.parameters(), lr=0.1).step()
    moved = {name for name, value in model.named_parameters() if not torch.equal(value, before[name])}
    assert all(torch.isfinite(value).all() for value in model.parameters())
    assert {name.partition(".")[0] for name in moved} == {"backbone", "pooling", "head"}


@pytest.mark.parametrize("form", ["safetensors", "bare", "nested", "parallel"])
def test_weights_are_read_in_every_form_and_the_classifier_is_left(
    form: str, tiny: Weights, tmp_path: Path
) -> None:
    whole = tiny | {"fc.weight": torch.zeros(5, 512), "fc.bias": torch.zeros(5)}
    file = tmp_path / ("w.safetensors" if form == "safetensors" else "w.pt")
    if form == "safetensors":
        safetensors.torch.save_file(whole, file)
    elif form == "bare":
        torch.save(whole, file)
    elif form == "nested":
        torch.save({"epoch": 3, "state_dict": whole}, file)
    else:
        torch.save({"state_dict": {f"module.{key}": value for key, value in whole.items()}}, file)
    details = {"nested": "below state_dict", "parallel": "below state_dict; without the prefix module."}.get(
        form
    )
    with pytest.warns(KitWarning, match=f"W71 .*w.pt: {details}$") if details else nullcontext():
        assert same(loaded(file), tiny)


def test_what_is_missing_left_over_or_of_another_shape_is_named(tiny: Weights, tmp_path: Path) -> None:
    wrong = {key: value for key, value in tiny.items() if key != "bn1.weight"}
    wrong |= {"layer9.weight": torch.zeros(2), "bn1.bias": torch.zeros(7)}
    torch.save(wrong, tmp_path / "w.pt")
    with pytest.raises(
        CheckpointError,
        match=r"D53 .* does not fit resnet10t: of 84 weights, 1 missing, 1 left over, 1 of another shape\.",
    ) as caught:
        loaded(tmp_path / "w.pt")
    details = {case.path: case.detail for case in caught.value.cases}
    shape = tuple(tiny["bn1.bias"].shape)
    assert details == {
        "bn1.weight": "missing",
        "layer9.weight": "left over",
        "bn1.bias": f"has the shape (7,), the network {shape}",
    }


def test_a_deeper_network_of_the_same_names_is_refused(tmp_path: Path) -> None:
    torch.save(weights_of(opened("resnet34")), tmp_path / "w.pt")
    with pytest.raises(CheckpointError, match="D53") as caught:
        loaded(tmp_path / "w.pt", "resnet18")
    assert {case.detail for case in caught.value.cases} == {"left over"}


def test_what_batch_norm_counts_may_be_missing(tiny: Weights, tmp_path: Path) -> None:
    torch.save({key: value for key, value in tiny.items() if "num_batches" not in key}, tmp_path / "w.pt")
    assert same(loaded(tmp_path / "w.pt"), tiny)


@pytest.mark.parametrize("content", [{"state_dict": {"conv1.weight": 3}}, {"lr": 0.1}])
def test_what_is_no_tensor_is_refused(content: object, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(CheckpointError, match="D53"):
        loaded(tmp_path / "w.pt")


def test_a_file_that_is_not_there_is_named_whole(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=f"D51 no weights file {tmp_path}/none.pt"):
        loaded(tmp_path / "none.pt")


@pytest.mark.parametrize("content", [b"", b"<html>", os.urandom(200)])
@pytest.mark.parametrize("ending", ["pt", "safetensors"])
def test_what_is_no_file_of_weights_is_refused(content: bytes, ending: str, tmp_path: Path) -> None:
    (tmp_path / f"w.{ending}").write_bytes(content)
    with pytest.raises(CheckpointError, match="D50 cannot read"):
        loaded(tmp_path / f"w.{ending}")


def test_a_transformers_positions_are_resampled_to_the_image_size(tmp_path: Path) -> None:
    source = weights_of(opened("vit_tiny_patch16_224"))
    torch.save(source | {"head.weight": torch.zeros(9, 192)}, tmp_path / "w.pt")
    state = loaded(tmp_path / "w.pt", "vit_tiny_patch16_224", img_size=64)
    assert state["pos_embed"].shape == (1, 17, 192)
    kept = [key for key in source if key != "pos_embed"]
    assert all(torch.equal(state[key], source[key]) for key in kept)


def test_weights_are_relative_to_the_workspace_and_part_of_what_a_run_is_made_from(
    tiny: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "space").mkdir()
    torch.save(tiny, tmp_path / "space" / "w.pt")
    monkeypatch.chdir(tmp_path)
    keys = {"backbone": {"name": "timm", "arch": "resnet10t", "weights": "w.pt"}, "image_size": 32}
    backbone = network.open_parts(Experiment.model_validate(keys), tmp_path / "space", CLASSES).backbone
    assert same(weights_of(backbone), tiny)
    assert backbone.spec()["weights"] == "w.pt"
    before = plugin_hashes([backbone])
    torch.save(tiny | {"fc.weight": torch.ones(5, 512)}, tmp_path / "space" / "w.pt")
    assert plugin_hashes([backbone]) != before
