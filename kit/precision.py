"""Precision and layout by a fixed rule: device, its units, and the family of the network.

Measured on 2 cores with bf16 units (images a second, resnet18 / mobilenetv3_large_100 / efficientnet_b0, 128 px):
training in float32 54 / 60 / 35, in bf16 channels-last 125 / 65 / 40, in float32 channels-last 61 / 75 / 51;
predicting in bf16 channels-last 632 / 662 / 392 against 180 / 296 / 210. So depthwise networks train in float32.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from kit.errors import ConfigError

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class Precision:
    """Names of the dtypes of training and predicting, and of the layout of images in memory."""

    train: str
    predict: str
    layout: str

    def place(self, network: nn.Module, device: torch.device) -> nn.Module:
        """The network on a device, its kernels in this layout."""
        network = network.to(device)
        return network.to(memory_format=_format(self.layout))  # type: ignore[call-overload]

    def arrange(self, images: Tensor, device: torch.device) -> Tensor:
        """A batch on a device, in this layout; without a copy where it is so already."""
        return images.to(device, non_blocking=True).contiguous(memory_format=_format(self.layout))

    @contextmanager
    def training(self, device: torch.device) -> Iterator[None]:
        """torch's autocast for forward passes of training."""
        with _autocast(device, self.train):
            yield

    @contextmanager
    def predicting(self, device: torch.device) -> Iterator[None]:
        """torch's autocast for predictions, without gradients."""
        with torch.inference_mode(), _autocast(device, self.predict):
            yield


def _format(layout: str) -> torch.memory_format:
    return torch.channels_last if layout == "channels_last" else torch.contiguous_format


def _autocast(device: torch.device, name: str) -> torch.autocast:
    return torch.autocast(device.type, dtype=DTYPES[name], enabled=name != "float32")


def choose_device(name: str) -> torch.device:
    """`auto` is a GPU where there is one. Raises ConfigError for a device that is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()  # some devices can be named and hold no numbers, such as meta
    except (RuntimeError, AssertionError, NotImplementedError):
        raise ConfigError(
            f"no device {name!r} here; torch sees {torch.cuda.device_count()} GPUs", code="C10",
            hint="auto, cpu, cuda or cuda:1",
        ) from None  # fmt: skip
    return device


def choose(network: nn.Module, device: torch.device, asked: Precision) -> Precision:
    """The rule for each `auto` of what was asked; predicting follows a training precision that is named."""
    fast = _fastest(device)
    train = "float32" if device.type == "cpu" and is_depthwise(network) else fast
    predict = fast if asked.train == "auto" else asked.train
    return Precision(
        train if asked.train == "auto" else asked.train,
        predict if asked.predict == "auto" else asked.predict,
        "channels_last" if asked.layout == "auto" else asked.layout,
    )


def _fastest(device: torch.device) -> str:
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float16"
    return "bfloat16" if has_bfloat16_units() else "float32"


def is_depthwise(network: nn.Module) -> bool:
    """Whether a convolution of the network has a kernel of its own for each channel."""
    return any(
        isinstance(module, nn.Conv2d) and module.groups == module.in_channels > 1
        for module in network.modules()
    )


def has_bfloat16_units() -> bool:
    """Whether this CPU multiplies bf16 in hardware (AMX or AVX-512 BF16)."""
    found = torch.cpu.get_capabilities()
    return bool(found.get("amx_bf16") or found.get("avx512_bf16"))
