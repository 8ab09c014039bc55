"""The fixed rule for precision and layout."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import nn

from kit.device import precision
from kit.device import precision as device_info
from kit.device.precision import Precision, choose_device, device_line, resolve_auto
from kit.errors import ConfigError, KitWarning

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
        outputs: torch.Tensor = self.layers(images)
        return outputs


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
    assert resolve_auto(network, CPU, AUTO).memory_format == ("channels_last" if safe else "contiguous")
    gpu = torch.device("cuda")
    assert resolve_auto(network, gpu, Precision("float32", "auto", "auto")).memory_format == "channels_last"
    if not safe:
        with pytest.raises(ConfigError, match="C18"):
            resolve_auto(network, CPU, Precision("auto", "auto", "channels_last"))


@pytest.mark.parametrize(("capability", "best"), [((8, 0), "bfloat16"), ((7, 5), "float16")])
def test_the_rule_on_a_gpu(monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], best: str) -> None:
    pretend_gpus(monkeypatch, [((9, 0) if best == "float16" else (7, 0)), capability])
    assert resolve_auto(DEPTHWISE, torch.device("cuda:1"), AUTO) == Precision(best, best, "channels_last")


def test_what_is_named_stays_and_predicting_follows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "has_bfloat16_units", lambda: True)
    assert resolve_auto(DENSE, CPU, Precision("float32", "auto", "contiguous")) == Precision(
        "float32", "float32", "contiguous"
    )
    assert resolve_auto(DENSE, CPU, Precision("auto", "float32", "auto")).predict == "float32"


def test_a_choice_chosen_again_is_the_same() -> None:
    first = resolve_auto(DENSE, CPU, AUTO)
    assert resolve_auto(DEPTHWISE, CPU, first) == first


def strided(*layers: tuple[int, int]) -> nn.Module:
    """Convolutions of these kernels and strides, padded so that a stride of s divides the side by s."""
    return nn.Sequential(*(nn.Conv2d(3, 3, kernel, stride, kernel // 2) for kernel, stride in layers))


@pytest.mark.parametrize(
    ("layers", "side", "right"),
    [
        ([(3, 2)] * 5, 16, False),  # 16, 8, 4, 2 and 1 px: the last input is smaller than the stride
        ([(3, 2)] * 5, 17, True),  # 17, 9, 5, 3 and 2 px
        ([(3, 2)] * 5, 32, True),
        ([(3, 2)] * 4 + [(1, 2)], 16, True),  # kernels of one pixel are right
        ([(3, 2)] * 4 + [(3, 1)], 16, True),
        ([(3, 2), (7, 4)], 6, False),  # 6 and 3 px
        ([(3, 2), (7, 4)], 8, True),
    ],
)
def test_auto_avoids_wrong_gradients_of_bfloat16_on_a_cpu_without_amx(
    monkeypatch: pytest.MonkeyPatch, layers: list[tuple[int, int]], side: int, right: bool
) -> None:
    monkeypatch.setattr(precision, "has_bfloat16_units", lambda: True)
    monkeypatch.setattr(precision, "has_amx", lambda: False)
    network, named = strided(*layers).train(), Precision("bfloat16", "auto", "contiguous")
    auto = Precision("auto", "auto", "contiguous")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        chosen = resolve_auto(network, CPU, auto, side)
        assert resolve_auto(network, CPU, named, side).train == "bfloat16"
        assert resolve_auto(network, CPU, auto).train == "bfloat16"  # predicting needs no gradients
    assert (chosen.train, chosen.predict) == ("bfloat16" if right else "float32", "bfloat16")
    assert network.training
    expected = [] if right else ["kit trains in float32", "Use precision=float32, or larger images"]
    assert [str(each.message).partition("gradients there. ")[2] for each in caught] == expected


def test_auto_keeps_bfloat16_for_small_images_on_a_cpu_with_amx(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "has_bfloat16_units", lambda: True)
    monkeypatch.setattr(precision, "has_amx", lambda: True)
    network = strided(*[(3, 2)] * 5)
    assert resolve_auto(network, CPU, Precision("auto", "auto", "contiguous"), 16).train == "bfloat16"


def pretend_gpus(monkeypatch: pytest.MonkeyPatch, capabilities: Sequence[tuple[int, int]]) -> None:
    """torch says that there are GPUs of these compute capabilities, the first one current."""

    def number(device: torch.device | int) -> int:
        return device if isinstance(device, int) else device.index or 0

    monkeypatch.setattr(torch.cuda, "is_available", lambda: bool(capabilities))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(capabilities))
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capabilities[number(device)])
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"GPU {number(device)}")
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: ["sm_75", "sm_90"])


def test_cuda_without_a_gpu_is_an_error_with_torchs_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_gpus(monkeypatch, [])
    monkeypatch.setattr(torch.version, "cuda", None)
    with pytest.raises(
        ConfigError, match="C10 device 'cuda' cannot be used: torch .* is built without CUDA"
    ) as error_info:
        choose_device("cuda")
    assert error_info.value.hint == "device=auto or device=cpu"


def old_driver() -> None:
    raise RuntimeError("The NVIDIA driver on your system is too old (found version 11040).\nUpdate it")


def test_auto_that_falls_back_to_the_cpu_beside_a_driver_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pretend_gpus(monkeypatch, [])
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(torch.version, "cuda", "12.8")
    monkeypatch.setattr(torch.cuda, "init", old_driver)
    monkeypatch.setattr(device_info, "DRIVER_FILES", (tmp_path / "nvidia0",))
    with warnings.catch_warnings():
        warnings.simplefilter("error", KitWarning)
        assert choose_device("auto") == CPU  # no driver: a machine without a GPU
    (tmp_path / "nvidia0").touch()
    with pytest.warns(
        KitWarning, match=r"W62 .*driver on your system is too old \(found version 11040\); .*CUDA 12.8"
    ):
        assert choose_device("auto") == CPU
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with warnings.catch_warnings():
        warnings.simplefilter("error", KitWarning)
        assert choose_device("auto") == CPU  # the user has hidden it


def test_a_gpu_without_kernels_is_an_error_and_not_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_gpus(monkeypatch, [(3, 7)])

    def fail(device: torch.device) -> None:
        raise RuntimeError(
            "CUDA error: no kernel image is available for execution on the device\nCompile with ..."
        )

    monkeypatch.setattr(precision, "_check_computes", fail)
    with pytest.raises(
        ConfigError, match=r"C10 .* no kernels for cuda:0 GPU 0 \(sm_37\), but for sm_75, sm_90"
    ):
        choose_device("auto")


def test_a_command_whose_workers_compute_tries_no_device(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_gpus(monkeypatch, [(8, 0)])
    monkeypatch.setattr(torch, "zeros", None)  # a tensor there would keep memory of the GPU
    assert choose_device("auto", for_workers=True) == torch.device("cuda")


def test_a_numbered_gpu_becomes_torchs_current_one(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_gpus(monkeypatch, [(8, 0), (8, 0)])
    current: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "set_device", current.append)
    monkeypatch.setattr(torch, "zeros", lambda *_, device: torch.ones(1))
    assert choose_device("cuda:1") == torch.device("cuda:1")
    assert current == [torch.device("cuda:1")]


def test_the_line_of_a_device_names_its_dtype_memory_format_and_loaders(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    chosen = Precision("float32", "bfloat16", "channels_last")
    line = device_line(CPU, chosen, 2)
    assert (line.task, line.line) == ("device", True)
    assert (
        line.detail
        == "cpu with 4 threads, float32 (predicting in bfloat16), channels_last, 2 loader processes"
    )
    assert "threads, bfloat16, channels_last" in device_line(CPU, chosen, 2, trains=False).detail
    pretend_gpus(monkeypatch, [(8, 0), (8, 0)])
    assert device_line(torch.device("cuda:1"), chosen, 8).detail.startswith("cuda:1 GPU 1, float32")


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


def test_tests_see_no_gpu() -> None:
    """They promise equal bits; tests/device/test_cuda.py runs with KIT_GPU_TESTS=1."""
    assert os.environ.get("KIT_GPU_TESTS") or not torch.cuda.is_available()
    assert os.environ.get("KIT_GPU_TESTS") or os.environ["CUDA_VISIBLE_DEVICES"] == ""
