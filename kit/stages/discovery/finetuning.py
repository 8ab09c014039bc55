"""Fine-tuning recipe: rates, image size and epochs by the network, the device and the data, each with its reason."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kit.core.files import StrPath
from kit.core.legible import check_writable
from kit.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from torch import nn

# one network per device whose weights timm's hub has; docs/defaults.md explains all values of this file
ARCHS = {"cpu": "tf_efficientnet_lite0.in1k", "cuda": "resnet50.a1_in1k"}
FINETUNE: dict[str, Any] = {
    "backbone": {"name": "timm", "arch": ARCHS["cuda"], "pretrained": True},
    "augmenter": {"name": "light"},
    "loss": {"name": "label_smoothing", "smoothing": 0.1},
    "optimizer": {"name": "adamw", "lr": 1e-3, "weight_decay": 0.05},
    "scheduler": {"name": "cosine", "warmup": 0.1},
    "ema_decay": 0.998,
    "epochs": 12,
}
FROZEN_STRIDE = 4  # features of at most this many pixels keep the weights' values: edges, colours, textures
# for networks without batch norm: transformers, ConvNeXt
WITHOUT_BATCH_NORM: dict[str, Any] = {"lr": 2e-4, "layer_decay": 0.75}
SMALLEST_PX, LARGEST_PX, STRIDE_PX = 128, 224, 32
ENLARGED = (
    1.25  # a network's input, times the photos' short side: enlarged photos score higher (docs/defaults.md)
)
STEPS = 900  # optimizer steps of a run: 12 epochs of 2,400 rows
FEWEST_EPOCHS, MOST_EPOCHS = 5, 40


@dataclass(frozen=True)
class Start:
    """The start of fine-tuning: timm's network, a file of weights or none, and the reasons."""

    arch: str
    why: str
    weights: str | None = None


def tune(
    start: Start, side: float | None = None, rows: int | None = None
) -> tuple[dict[str, Any], list[str]]:
    """Returns the experiment's keys that fine-tune a network, and a line with the reason for each choice.

    `side` is the median short side of the images in pixels, `rows` the number of labelled rows.
    """
    chosen = dict(FINETUNE)
    chosen["backbone"] = {"name": "timm", "arch": start.arch, "pretrained": start.weights is None}
    if start.weights:
        chosen["backbone"]["weights"] = start.weights
    lines = [f"network: {start.arch} ({start.why})"]
    has_batch_norm, fixed, early = _traits(start.arch)
    if has_batch_norm:
        lines.append(f"rate: {chosen['optimizer']['lr']:g} for all layers (a network with batch norm)")
        if early:
            chosen["stages"] = [{"freeze": [".".join(("backbone", "model", name)) for name in early]}]
            lines.append(
                f"frozen: {early[0]} to {early[-1]} (the general features; stages=[] trains them too)"
            )
    else:
        lr, decay = WITHOUT_BATCH_NORM["lr"], WITHOUT_BATCH_NORM["layer_decay"]
        chosen |= {"optimizer": {**chosen["optimizer"], "lr": lr}, "layer_decay": decay}
        lines.append(
            f"rate: {lr:g} for the head, times {decay:g} per layer below (a network without batch norm)"
        )
    size, reason = _image_size(side, fixed)
    chosen |= {"image_size": size, "cache_size": _cache_size(size, side)}
    lines.append(f"image size: {size} px ({reason})")
    if rows:
        chosen["epochs"] = fit_epochs(rows)
        lines.append(f"epochs: {chosen['epochs']} (about {STEPS} steps; {rows:,} labelled rows)")
    return chosen, lines


def fit_epochs(rows: int) -> int:
    """Returns the epochs that take about STEPS optimizer steps of 32 rows on four fifths of the rows."""
    return min(MOST_EPOCHS, max(FEWEST_EPOCHS, math.ceil(STEPS * 32 / (0.8 * rows))))


def choose_arch() -> tuple[str, str]:
    """Returns the network for this machine's device, and the device."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    return ARCHS[device], device


def choose_start(root: Path, recipe: str, weights: StrPath | None, network: str | None) -> Start | None:
    """Returns the start of fine-tuning, if a file or a network is given.

    Raises ConfigError C05 for a recipe without one.
    """
    if weights is None and network is None:
        return None
    if recipe == "scratch":
        raise ConfigError("--recipe scratch starts without weights", code="C05", hint="without --recipe")
    if weights is None:
        return Start(check_network(str(network)), "as asked for")
    file = Path(weights).resolve()
    inside = file.is_relative_to(root)
    name = file.relative_to(root).as_posix() if inside else file.as_posix()
    check_writable([name])
    if network is not None:
        return Start(check_network(network), "as asked for", name)
    from kit.stages.discovery.weights_file import identify

    identified = identify(file)
    others = ", ".join(identified.others[:5])
    also = f"; the same tensors: {others}; kit init --network NAME sets another one" if others else ""
    return Start(identified.arch, identified.why + also, name)


def fit_config(root: Path, config: dict[str, Any], reasons: list[str], seconds: int) -> list[str]:
    """Sets the epochs and the image size that fit into the seconds, and returns the reasons with this one."""
    from kit.stages.profiling.time_budget import fit_time

    budget = fit_time(root, config, seconds)
    config.update(epochs=budget.epochs, image_size=budget.image_size)
    others = [line for line in reasons if not line.startswith(("epochs:", "image size:"))]
    return [*others, f"time: {budget}"]


def check_network(arch: str) -> str:
    """Returns the name of a network, if timm has it. Raises ConfigError C07 otherwise."""
    from kit.device.torch_internals import import_timm  # it loads torch

    timm = import_timm()
    if not timm.is_model(arch):
        raise ConfigError(f"timm has no network {arch!r}{did_you_mean(arch, timm.list_models())}", code="C07")
    return arch


def _traits(arch: str) -> tuple[bool, int | None, list[str]]:
    """Returns whether a network has batch norm, its image size if it takes only one, and its earliest modules."""
    from kit.device.torch_internals import AnyBatchNorm, build_without_memory, import_timm

    timm = import_timm()
    network = build_without_memory(lambda: timm.create_model(arch, pretrained=False))
    config = timm.get_pretrained_cfg(arch, allow_unregistered=True)
    fixed = int(config.input_size[1]) if config and config.fixed_input_size else None
    has_batch_norm = any(isinstance(module, AnyBatchNorm) for module in network.modules())
    return has_batch_norm, fixed, early_modules(network)


def early_modules(network: nn.Module) -> list[str]:
    """Returns the modules with weights up to the features of stride 4, in order.

    It is empty if timm does not name these features.

    Source: Girshick 2015, "Fast R-CNN", section 4.5, and detectron2's FREEZE_AT = 2, which freeze the same stages.
    """
    features = getattr(network, "feature_info", None) or []
    places = [feature["module"] for feature in features if feature.get("reduction") == FROZEN_STRIDE]
    names = {name for name, _ in network.named_modules()}
    if not places or places[-1] not in names:
        return []
    last = places[-1]
    early, parent = [], network
    path = last.split(".")
    for depth, part in enumerate(path):
        children = [name for name, _ in parent.named_children()]
        early += [".".join([*path[:depth], name]) for name in children[: children.index(part)]]
        parent = parent.get_submodule(part)
    return [name for name in [*early, last] if any(True for _ in network.get_submodule(name).parameters())]


def _image_size(side: float | None, fixed: int | None) -> tuple[int, str]:
    if fixed:
        return fixed, "the network takes no other size"
    if side is None:
        return LARGEST_PX, "the size of most pretrained networks"
    whole = STRIDE_PX * round(ENLARGED * side / STRIDE_PX)
    size = min(LARGEST_PX, max(SMALLEST_PX, whole))
    enlarged = ", and enlarged images score higher" if size > side else ""
    return size, f"the images' median short side is {side:g} px{enlarged}"


def _cache_size(size: int, side: float | None) -> int | None:
    """Returns the images' own side in place of the default margin, if that would enlarge them, because a
    larger copy is blurred.
    """
    return round(side) if side is not None and side < 1.25 * size else None
