"""The fixed rule for precision and layout."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from kit.device import precision
from kit.device.precision import Precision, choose_device, resolve_auto
from kit.errors import ConfigError

DENSE = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3))
DEPTHWISE = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3, groups=8), nn.BatchNorm2d(8))
AUTO = Precision("auto", "auto", "auto")
CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("network", "units", "train", "predict"),
    [
        (DENSE, True, "bfloat16", "bfloat16"),
        (DEPTHWISE, True, "float32", "bfloat16"),
        (DENSE, False, "float32", "float32"),
        (DEPTHWISE, False, "float32", "float32"),
    ],
)
def test_the_rule_on_a_cpu(
    monkeypatch: pytest.MonkeyPatch, network: nn.Module, units: bool, train: str, predict: str
) -> None:
    monkeypatch.setattr(precision, "has_bfloat16_units", lambda: units)
    assert resolve_auto(network, CPU, AUTO) == Precision(train, predict, "channels_last")


@pytest.mark.parametrize(
    ("layers", "light"),
    [
        ([nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3, groups=8), nn.BatchNorm2d(8)], True),  # 27 and 9 products
        ([nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3, groups=8), nn.GroupNorm(1, 8)], False),
        ([nn.Conv2d(3, 64, 3), nn.Conv2d(64, 64, 3, groups=4), nn.BatchNorm2d(64)], False),  # grouped
        # 27 * 64 + 9 * 64 + 576 * 64 products an image's pixel, of 3 * 64 numbers: 204 each
        (
            [nn.Conv2d(3, 64, 3), nn.Conv2d(64, 64, 3, groups=64), nn.BatchNorm2d(64), nn.Conv2d(64, 64, 3)],
            False,
        ),
    ],
)
def test_light_is_depthwise_with_batch_norm_and_few_products(layers: list[nn.Module], light: bool) -> None:
    network = nn.Sequential(*layers).train()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    assert precision.is_memory_bound(network) is light
    assert network.training
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


class Picky(nn.Module):
    """Takes images of one size, and says so in its own way."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = DEPTHWISE

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if images.shape[-1] != 96:
            raise TypeError("96 px alone")
        return self.layers(images)


def test_a_network_whose_work_cannot_be_counted_is_light_where_it_is_depthwise() -> None:
    assert precision.is_memory_bound(Picky())


@pytest.mark.parametrize(
    ("kernel", "stride", "channels", "safe"),
    [
        (1, 2, 3, False),
        (1, 2, 15, False),
        (1, 2, 16, True),
        (1, 2, 1, True),
        (1, 1, 3, True),
        (3, 2, 3, True),
    ],
)
def test_a_convolution_that_ends_torch_in_channels_last_is_trained_contiguous(
    kernel: int, stride: int, channels: int, safe: bool
) -> None:
    network = nn.Sequential(nn.Conv2d(channels, 8, kernel, stride))
    assert resolve_auto(network, CPU, AUTO).layout == ("channels_last" if safe else "contiguous")
    assert (
        resolve_auto(network, torch.device("cuda"), Precision("float32", "auto", "auto")).layout
        == "channels_last"
    )
    if not safe:
        with pytest.raises(ConfigError, match="C18"):
            resolve_auto(network, CPU, Precision("auto", "auto", "channels_last"))


@pytest.mark.parametrize(("supported", "best"), [(True, "bfloat16"), (False, "float16")])
def test_the_rule_on_a_gpu(monkeypatch: pytest.MonkeyPatch, supported: bool, best: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: supported)
    assert resolve_auto(DEPTHWISE, torch.device("cuda"), AUTO) == Precision(best, best, "channels_last")


def test_what_is_named_stays_and_predicting_follows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "has_bfloat16_units", lambda: True)
    assert resolve_auto(DENSE, CPU, Precision("float32", "auto", "contiguous")) == Precision(
        "float32", "float32", "contiguous"
    )
    assert resolve_auto(DENSE, CPU, Precision("auto", "float32", "auto")).predict == "float32"


def test_a_choice_chosen_again_is_the_same() -> None:
    first = resolve_auto(DENSE, CPU, AUTO)
    assert resolve_auto(DEPTHWISE, CPU, first) == first


@pytest.mark.parametrize("name", ["warp", "cuda:99", "meta", ""])
def test_a_device_that_is_not_there_is_an_error(name: str) -> None:
    with pytest.raises(ConfigError, match="C10"):
        choose_device(name)


def test_batches_are_arranged_without_a_copy_where_they_are_so_already() -> None:
    images = torch.zeros(2, 5, 5, 3, dtype=torch.uint8).permute(0, 3, 1, 2)
    assert (
        Precision("float32", "float32", "channels_last").to_layout(images, CPU).data_ptr()
        == images.data_ptr()
    )
    assert Precision("float32", "float32", "contiguous").to_layout(images, CPU).is_contiguous()
