"""Device, precision and layout by a fixed rule, and the line that describes them.

Measured on 2 cores with bf16 units, in images per second for resnet18 / mobilenetv3_large_100 / efficientnet_b0
at 128 px. Training in float32 54 / 60 / 35, in bf16 channels-last 125 / 65 / 40, in float32 channels-last 61
/ 75 / 51. Prediction in bf16 channels-last 632 / 662 / 392, in float32 180 / 296 / 210. So on a CPU light
depthwise networks with batch norm train in float32. benchmarks/README.md has the table of 24 networks behind
the rule.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

import torch
from torch import Tensor, nn

from kit.core.cores import available_cores
from kit.core.progress import Progress
from kit.device import ranks
from kit.errors import ConfigError, KitWarning


def search_convolutions(device: torch.device) -> None:
    """Lets cuDNN try its kernels for each new shape of a convolution and use the fastest.

    A run has few shapes: two sizes of a training batch, and those of held-out rows.
    """
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = True


def allow_tf32(device: torch.device, allowed: bool) -> None:
    """Allows or forbids a GPU to round the factors of float32 products to TF32, 10 bits of mantissa.

    Parts of a network that compute in float32 beside bfloat16 or float16 receive numbers that had fewer bits.
    """
    if device.type == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = allowed


DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
BF16_FROM_PRODUCTS = 100  # products per output of a convolution from which bf16 trains faster
PROBE_SIDE_PX = 128  # side in pixels of the image over which they are counted; its effect is small


@dataclass(frozen=True)
class Precision:
    """Names of the dtypes of training and predicting, and of the memory format of images."""

    train: str
    predict: str
    memory_format: str

    @classmethod
    def of(cls, config: Mapping[str, str]) -> Precision:
        """Returns the values of a config's keys, including `auto`."""
        return cls(config["precision"], config["predict_precision"], config["memory_format"])

    def config(self) -> dict[str, str]:
        """Returns the same as keys of a config."""
        return {
            "precision": self.train,
            "predict_precision": self.predict,
            "memory_format": self.memory_format,
        }

    def to_device(self, network: nn.Module, device: torch.device) -> nn.Module:
        """Returns the network on a device, its kernels in this layout."""
        network = network.to(device)
        placed: nn.Module = network.to(memory_format=_format(self.memory_format))  # type: ignore[call-overload]
        return placed

    def to_layout(self, images: Tensor, device: torch.device) -> Tensor:
        """Returns a batch on a device, in this layout, without a copy if it is already so."""
        return images.to(device, non_blocking=True).contiguous(memory_format=_format(self.memory_format))

    @contextmanager
    def autocast_training(self, device: torch.device) -> Iterator[None]:
        """Opens torch's autocast for forward passes of training."""
        with _autocast(device, self.train):
            yield

    @contextmanager
    def autocast_prediction(self, device: torch.device) -> Iterator[None]:
        """Opens torch's autocast for predictions, without gradients."""
        with torch.inference_mode(), _autocast(device, self.predict):
            yield


def _format(memory_format: str) -> torch.memory_format:
    return torch.channels_last if memory_format == "channels_last" else torch.contiguous_format


def _autocast(device: torch.device, name: str) -> torch.autocast:
    # `auto` is never float32 on a CUDA GPU: set float32 to get it
    allow_tf32(device, name != "float32")
    return torch.autocast(device.type, dtype=DTYPES[name], enabled=name != "float32")


def choose_device(name: str, for_workers: bool = False) -> torch.device:
    """Chooses the device. `auto` is a GPU if torch can use one, each rank's own, else the CPU.

    A GPU becomes torch's current one.

    With `for_workers` the device is only named: other processes use it, and this one keeps no memory on it. Warns
    (W62) of an NVIDIA GPU that torch cannot use. Raises ConfigError C10 for a device that cannot compute.
    """
    if name == "auto":
        name = _fastest_device()
        if name == "cpu" and (reason := unusable_gpu()):
            text = f"W62 this machine has an NVIDIA GPU that torch cannot use, kit uses the CPU: {reason}"
            warnings.warn(KitWarning(text), stacklevel=2)
    if name == "cuda" and ranks.local_rank() is not None:
        name = f"cuda:{ranks.local_rank()}"
    try:
        device = torch.device(name)
        if not for_workers:
            _check_computes(device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise _no_device(name, error) from None
    return device


def _fastest_device() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _check_computes(device: torch.device) -> None:
    """Raises torch's error if a device runs no kernel: meta holds no numbers, an old card has no kernels."""
    if device.type != "cpu":
        (torch.zeros(1, device=device) + 1).item()
    if device.type == "cuda" and device.index is not None:
        torch.cuda.set_device(device)  # otherwise other libraries and threads take memory on GPU 0
    search_convolutions(device)


def _no_device(name: str, error: Exception) -> ConfigError:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    count = torch.cuda.device_count()
    if name.startswith("cuda") and not torch.cuda.is_available():
        reason = no_cuda_because()
    elif "no kernel image" in reason:
        reason = no_kernels_for(torch.device(name))
    names = ["auto"] * ("no kernel" not in reason) + ["cpu", *(f"cuda:{number}" for number in range(count))]
    return ConfigError(
        f"device {name!r} cannot be used: {reason}",
        code="C10",
        hint=" or ".join(f"device={other}" for other in names if other != name)[:80],
    )


def resolve_auto(
    network: nn.Module, device: torch.device, precision: Precision, train_px: int | None = None
) -> Precision:
    """Resolves each `auto` by the rule. Prediction follows a training precision that is set.

    `train_px` is the side in pixels of the smallest training images, None if nothing trains. Warns (W64) if bfloat16
    gives wrong gradients for them. Raises ConfigError C18 for a layout in which the network cannot train on this
    device.
    """
    fast, possible = _fastest(device), memory_formats(network, device)
    light = precision.train == "auto" and device.type == "cpu" and is_memory_bound(network)
    train = "float32" if light else fast if precision.train == "auto" else precision.train
    predict = fast if precision.train == "auto" else precision.train
    if precision.memory_format not in ("auto", *possible):
        raise ConfigError(
            f"memory_format={precision.memory_format} crashes torch on a CPU, in a 1 x 1 convolution with "
            "a stride and few channels",
            code="C18",
            hint=f"memory_format={possible[0]}, or omit memory_format",
        )
    if train == "bfloat16" and train_px and device.type == "cpu" and _breaks_gradients(network, train_px):
        _warn_of_wrong_gradients(train_px, is_named=precision.train != "auto")
        train = "float32" if precision.train == "auto" else train
    return Precision(
        train,
        predict if precision.predict == "auto" else precision.predict,
        possible[-1] if precision.memory_format == "auto" else precision.memory_format,
    )


def _breaks_gradients(network: nn.Module, side: int) -> bool:
    """Whether this CPU gives wrong bfloat16 gradients of a network's weights for images of `side` px.

    torch 2.13 leaves memory uninitialised in the weight gradient of a convolution whose input is smaller than its
    stride: 3 x 3 pixels at a stride of 4, one at a stride of 2. Seen with AVX-512 BF16 for kernels of 2 to 7 pixels,
    grouped ones too; never for kernels of one pixel or inputs as large as the stride. AMX has other kernels.
    """
    if side >= PROBE_SIDE_PX or has_amx():
        return False
    strided = [
        module
        for module in network.modules()
        if isinstance(module, nn.Conv2d) and max(module.stride) > 1 and max(module.kernel_size) > 1
    ]
    return any(
        size < stride
        for module, given, _ in _trace(network, strided, side)
        for size, stride in zip(given.shape[-2:], module.stride, strict=True)
    )


def _warn_of_wrong_gradients(side: int, is_named: bool) -> None:
    text = f"W64 image_size {side} is too small for this network in bfloat16 on a CPU without AMX: "
    text += "torch computes wrong gradients there. "
    text += "Use precision=float32, or larger images" if is_named else "kit trains in float32"
    warnings.warn(KitWarning(text), stacklevel=3)


def warn_of_other_dtype(run: str, before: str, now: str, device: torch.device, doing: str) -> None:
    """Warns (W61) of a run whose `auto` is another dtype on this device than where it started."""
    if before != now:
        text = f"W61 run {run} was started with {before}; {doing} on {device} uses {now}"
        warnings.warn(KitWarning(text), stacklevel=3)


def memory_formats(network: nn.Module, device: torch.device) -> tuple[str, ...]:
    """Returns the memory formats in which a network can train on a device, the faster one last."""
    overruns = device.type == "cpu" and any(map(_overruns, network.modules()))
    return ("contiguous",) if overruns else ("contiguous", "channels_last")


def dtypes(device: torch.device) -> tuple[str, ...]:
    """Returns the dtypes worth measuring on a device: float16 and bfloat16 if it computes in them."""
    if device.type == "cuda":
        return ("float32", *(["bfloat16"] if _multiplies_bfloat16(device) else []), "float16")
    if device.type == "mps":
        return ("float32", "float16")
    return ("float32", *(["bfloat16"] if has_bfloat16_units() else []))


def _multiplies_bfloat16(device: torch.device) -> bool:
    """Whether a GPU multiplies bf16 in hardware: cards below 8.0 emulate it, without convolutions."""
    if not torch.cuda.is_available():
        return False
    return bool(torch.version.hip) or torch.cuda.get_device_capability(device) >= (8, 0)


def _overruns(module: nn.Module) -> bool:
    """Whether oneDNN writes outside the gradient of a kernel in channels-last, which crashes the process or
    corrupts its memory.

    Seen with torch 2.13 at a stride of 2 and 2 to 15 input channels, never at 1 or 16 and more (repvgg, mobileone).
    """
    return (
        isinstance(module, nn.Conv2d)
        and set(module.kernel_size) == {1}
        and max(module.stride) > 1
        and 1 < module.in_channels // module.groups < 16
    )


def _fastest(device: torch.device) -> str:
    if device.type == "cuda":
        return "bfloat16" if _multiplies_bfloat16(device) else "float16"
    if device.type == "mps":  # the others were not measured there
        return "float32"
    return "bfloat16" if has_bfloat16_units() else "float32"


def is_memory_bound(network: nn.Module) -> bool:
    """Whether depthwise kernels and batch norms take more of the network's time than products do.

    bf16 gains if the network has many products. It trains convnext (layer norm), efficientnetv2_b0 (150
    products an output) and repvit_m0_9 (110) 1.2 to 1.8 times as fast. float32 trains efficientnet_b0 (57)
    and mobilenetv4_conv_small (95) 1.4 and 1.8 times as fast.
    """
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    depthwise = any(module.groups == module.in_channels > 1 for module in convolutions)
    normed = any(isinstance(module, nn.BatchNorm2d) for module in network.modules())
    return depthwise and normed and _products(network, convolutions) < BF16_FROM_PRODUCTS


@torch.no_grad()
def _products(network: nn.Module, convolutions: Sequence[nn.Conv2d]) -> float:
    """Returns the products of all convolutions per output number, over an image; 0 if it does not take this one."""
    costs = [
        (module.weight[0].numel() * output.numel(), output.numel())
        for module, _, output in _trace(network, convolutions, PROBE_SIDE_PX)
    ]
    return sum(products for products, _ in costs) / max(sum(outputs for _, outputs in costs), 1)


@torch.no_grad()
def _trace(
    network: nn.Module, convolutions: Sequence[nn.Conv2d], side: int
) -> list[tuple[nn.Conv2d, Tensor, Tensor]]:
    """Returns convolutions with their inputs and outputs over one image, as far as the network takes this size.

    The tensors are on the meta device: they have a shape and no numbers.
    """
    traced: list[tuple[nn.Conv2d, Tensor, Tensor]] = []

    def note(module: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> None:
        traced.append((cast(nn.Conv2d, module), given[0].to("meta"), output.to("meta")))

    hooks = [module.register_forward_hook(note) for module in convolutions]
    was = network.training
    if convolutions:
        image = torch.zeros(1, channels_of(network), side, side, device=convolutions[0].weight.device)
        with suppress(Exception):  # a backbone may raise anything for a size that it does not take
            network.eval()(image)
    network.train(was)
    for hook in hooks:
        hook.remove()
    return traced


def has_bfloat16_units() -> bool:
    """Whether this CPU multiplies bf16 in hardware (AMX or AVX-512 BF16)."""
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"))


def has_amx() -> bool:
    """Whether this CPU multiplies bf16 in AMX's tiles."""
    return bool(torch.cpu.get_capabilities().get("amx_bf16"))


DEVICE = "device"  # the task of the line
# files of NVIDIA's driver on Linux, in Docker, on WSL and on Windows; nvidia-smi alone may lack a driver
DRIVER_FILES = (
    Path("/dev/nvidiactl"),
    Path("/dev/nvidia0"),
    Path("/proc/driver/nvidia/version"),
    Path("/usr/lib/wsl/lib/libcuda.so.1"),
    Path(os.environ.get("SYSTEMROOT", "/nonexistent"), "System32", "nvcuda.dll"),
)


def device_line(
    device: torch.device,
    precision: Precision,
    workers: int | Literal["auto"],
    trains: bool = True,
    ranks: int = 1,
) -> Progress:
    """Returns the line that every command shows before it computes, so that no fallback to the CPU is silent."""
    text = describe_device(device, precision, worker_count(workers, device), trains)
    return Progress(DEVICE, 0, 1, f"{text}, {ranks} ranks" if ranks > 1 else text, True)


def describe_device(device: torch.device, precision: Precision, workers: int, trains: bool) -> str:
    """Returns a device, its dtype and memory format, and the loader processes beside it."""
    dtype = precision.train if trains else precision.predict
    if trains and precision.predict != precision.train:
        dtype += f" (predicting in {precision.predict})"
    return ", ".join([name_of(device), dtype, precision.memory_format, f"{workers} loader processes"])


def name_of(device: torch.device) -> str:
    """Returns a device and its name: `cuda:0 Tesla T4`, or `cpu with 4 threads`."""
    if device.type == "cuda":
        index = torch.cuda.current_device() if device.index is None else device.index
        return f"cuda:{index} {torch.cuda.get_device_name(index)}"
    if device.type == "cpu":
        threads = torch.get_num_threads()
        return f"cpu with {threads} thread{'s' * (threads > 1)}"
    return str(device)


def unusable_gpu() -> str | None:
    """Returns why torch cannot use the NVIDIA GPU of this machine.

    It is None if it can, if there is none, or if it is hidden.
    """
    if torch.cuda.is_available() or os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1", "NoDevFiles"):
        return None
    return no_cuda_because() if any(file.exists() for file in DRIVER_FILES) else None


def no_cuda_because() -> str:
    """Returns torch's own reason why it has no CUDA device, and what it was built for."""
    if torch.version.cuda is None and torch.version.hip is None:
        return f"torch {torch.__version__} is built without CUDA"
    try:
        torch.cuda.init()
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        return f"{reason.rstrip('.')}; torch {torch.__version__} is built for CUDA {torch.version.cuda}"
    return "torch sees no GPU"


def no_kernels_for(device: torch.device) -> str:
    """Returns that torch was built without kernels for a card, with what it was built for."""
    major, minor = torch.cuda.get_device_capability(device)
    built = ", ".join(torch.cuda.get_arch_list())
    return (
        f"torch {torch.__version__} has no kernels for {name_of(device)} (sm_{major}{minor}), but for {built}"
    )


def worker_count(workers: int | Literal["auto"], device: torch.device | None = None) -> int:
    """Returns the number of loader processes for a config's `workers` beside a network on a device, by
    default the CPU.

    The default without a GPU is 0 on up to four cores, because the network uses them all. There, loading
    costs the network 2 % of its time (resnet18 at 128 px on 2 cores: 120 images/s of 122), and a loader
    process 5 %. The default beside a GPU is at most 8. Ranks on one machine share its cores.
    """
    if workers != "auto":
        return workers
    mine = max(1, available_cores() // ranks.local_world_size())
    if device is not None and device.type != "cpu":
        return min(8, max(1, mine - 1))
    return 0 if mine <= 4 else max(1, mine // 8)


def channels_of(network: nn.Module) -> int:
    """Returns the channels of a network's images; 3 if the network does not define them."""
    return int(getattr(network, "channels", 3))
