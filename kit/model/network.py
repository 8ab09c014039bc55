"""Network: normalisation, backbone, pooling, bags, side columns, head; built from opened plugins. Rates by part."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor, nn

from kit.config.models import Experiment
from kit.core import randomness
from kit.device import torch_internals
from kit.errors import ConfigError, did_you_mean
from kit.kinds import Backbone, Classes, ColumnLayout, Columns, Head, Instances, Loss, Plugin, Pooling
from kit.model.initial_weights import fill
from kit.model.weight_files import WeightFile, read_weights

if TYPE_CHECKING:
    from kit.data.table import Table


@dataclass(frozen=True)
class Parts:
    """The opened plugins that make a network and define its outputs.

    A network has `columns` only if `layout` describes the side columns of its fold. With `instances` it takes bags.
    """

    backbone: Backbone
    pooling: Pooling
    head: Head
    loss: Loss
    columns: Columns | None = None
    layout: ColumnLayout | None = None
    instances: Instances | None = None

    def all(self) -> list[Plugin]:
        """Returns all plugins."""
        more = [part for part in (self.instances, self.columns) if part is not None]
        return [self.backbone, self.pooling, *more, self.head, self.loss]

    def without_pretrained(self) -> Parts:
        """Returns the same parts without pretrained weights, for a network that a checkpoint fills."""
        return replace(self, backbone=self.backbone.without_pretrained())

    def with_layout(self, layout: ColumnLayout | None) -> Parts:
        """Returns the same parts for a fold with these side columns."""
        return replace(self, layout=layout)


def classes_from_table(table: Table, rows: np.ndarray | None = None) -> Classes:
    """Returns the information about a training table's classes; for numbers, their scale in `rows`, by
    default in all.
    """
    counts = tuple(int(count) for count in table.counts())
    means, scales = table.scale(rows)
    return Classes(
        table.classes,
        counts,
        table.class_groups,
        table.class_factors,
        len(table),
        table.target,
        means,
        scales,
        table.target_range,
        table.class_levels,
    )


def open_parts(experiment: Experiment, root: Path | None, classes: Classes) -> Parts:
    """Returns the parts that an experiment names. Raises ConfigError if the head's outputs do not suit the loss."""
    loss = experiment.open(Loss, root).with_classes(classes)
    _check_margins(loss)
    head = Head.open(experiment.head or loss.head(), root, "head")
    if head.gives != loss.outputs():
        raise ConfigError(
            f"loss {loss.plugin_name()!r} needs {loss.outputs()}, but head {head.plugin_name()!r} "
            f"returns {head.gives}",
            code="C08",
            hint=f"head={loss.head()}, or omit head",
        )
    backbone = experiment.open(Backbone, root).in_workspace(root).with_known(channels=experiment.channels)
    fixed = backbone.input_size()
    if fixed is not None and fixed != experiment.image_size:
        raise ConfigError(
            f"backbone {backbone.plugin_name()!r} needs images of {fixed} px, but image_size is "
            f"{experiment.image_size}",
            code="C09",
            hint=f"image_size={fixed}, or backbone.img_size={experiment.image_size} for timm's transformers",
        )
    columns = None if experiment.columns is None else experiment.open(Columns, root)
    instances = None if experiment.instances is None else experiment.open(Instances, root)
    return Parts(backbone, experiment.open(Pooling, root), head, loss, columns, instances=instances)


def _check_margins(loss: Loss) -> None:
    """Raises ConfigError if a margin on cosines of classes is requested for outputs that are not one per class."""
    base = loss.base_loss()
    if base is None:
        return
    if loss.takes == "cosines" and not base.is_per_class():
        names = loss.plugin_name(), base.plugin_name()
        raise ConfigError(
            f"loss {names[0]!r} needs one output per class, but its base {names[1]!r} has different outputs",
            code="C08",
            hint=f"swap them: loss={names[1]} loss.base={names[0]}",
        )
    _check_margins(base)


class SideInput(nn.Module):
    """An image's vector (N, features) and side values (N, W) to the head's input. None: all cells are missing.

    In training each cell is missing with the probability `drop`.
    """

    blank: Tensor
    column_of: Tensor

    def __init__(self, fusion: nn.Module, layout: ColumnLayout, drop: float) -> None:
        super().__init__()
        self.fusion, self.drop, self.count = fusion, drop, len(layout.spans)
        self.register_buffer("blank", torch.tensor(layout.blank()), persistent=False)
        self.register_buffer("column_of", torch.tensor(layout.column_of_value()), persistent=False)

    def forward(self, vectors: Tensor, side: Tensor | None) -> Tensor:
        if side is None:
            side = self.blank.expand(len(vectors), -1)
        elif self.training and self.drop:
            is_kept = torch.rand(len(side), self.count, device=side.device) >= self.drop
            side = torch.where(is_kept[:, self.column_of], side, self.blank)
        return cast(Tensor, self.fusion(vectors, side))


class Network(nn.Module):
    """Pixels of 0 to 255 (N, channels, H, W), of any dtype, to outputs (N, K); side values (N, W) may join them.

    Batches come as uint8, which takes a quarter of float32's transfer to a GPU, and are normalised on the
    network's device. With `instances` a row is a bag, whose images are concatenated along the channels.
    """

    scale: Tensor
    shift: Tensor

    def __init__(
        self,
        backbone: nn.Module,
        pooling: nn.Module,
        head: nn.Module,
        normalisation: Tensor,
        columns: SideInput | None = None,
        instances: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.backbone, self.pooling = backbone, pooling
        self.instances, self.columns, self.head = instances, columns, head
        self.fixed: frozenset[str] = frozenset()  # names of weights that an adapter does not train
        self.recomputes = False  # whether the backward pass computes blocks again
        mean, deviation = normalisation
        self.register_buffer("scale", (1 / (255 * deviation)).view(1, -1, 1, 1))
        self.register_buffer("shift", (-mean / deviation).view(1, -1, 1, 1))

    @property
    def channels(self) -> int:
        """The channels of an image."""
        return self.scale.shape[1]

    def normalise_by(self, mean: np.ndarray, deviation: np.ndarray) -> None:
        """Sets the mean and deviation (channels,) of pixels from 0 to 1 for the normalisation of images."""
        for name, values in (("scale", 1 / (255 * deviation)), ("shift", -mean / deviation)):
            buffer = getattr(self, name)
            buffer.copy_(torch.as_tensor(values, dtype=buffer.dtype).view(1, -1, 1, 1))

    def embed(self, images: Tensor) -> Tensor:
        """Returns the pooled features of images, (N, features), without side columns."""
        pixels = images.to(self.scale.dtype) * self.scale + self.shift
        return cast(Tensor, self.pooling(self.backbone(pixels)))

    def embed_bags(self, images: Tensor) -> Tensor:
        """Returns the pooled vector of each bag, (N, any). Padding does not pass the backbone."""
        from kit.model.instance_network import find_images

        assert self.instances is not None
        bags = images.unflatten(1, (-1, self.channels))
        known = find_images(bags)
        known_bags = bags[known]
        if images.is_contiguous(memory_format=torch.channels_last):
            known_bags = known_bags.contiguous(memory_format=torch.channels_last)
        vectors = self.embed(known_bags)
        padded = vectors.new_zeros((*known.shape, vectors.shape[1]))
        padded[known] = vectors
        return cast(Tensor, self.instances(padded, known))

    def forward(self, images: Tensor, side: Tensor | None = None) -> Tensor:
        vectors = self.embed(images) if self.instances is None else self.embed_bags(images)
        if self.columns is not None:
            vectors = self.columns(vectors, side)
        return cast(Tensor, self.head(vectors))

    def layer_groups(self) -> dict[str, int]:
        """Returns the depth of each weight, 0 at the pixels. Pooling, bags, columns and head share the largest depth.

        A backbone with a method of this name defines it for its own weights. In others each child with
        kernels is a layer.
        """
        own = getattr(self.backbone, "layer_groups", None)
        within = own() if own else _by_child(self.backbone)
        top = 1 + max(within.values(), default=-1)
        return {
            name: within.get(name.removeprefix("backbone."), top) if name.startswith("backbone.") else top
            for name, _ in self.named_parameters()
        }


def _by_child(module: nn.Module) -> dict[str, int]:
    """Returns one layer per child that has kernels or matrices, in the order of creation.

    Norms belong to the layer below.
    """
    layers: dict[str, int] = {}
    layer = -1
    for name, child in module.named_children():
        weights = dict(child.named_parameters(prefix=name))
        layer += any(weight.dim() > 1 for weight in weights.values())
        layers |= dict.fromkeys(weights, max(layer, 0))
    return layers


def build(parts: Parts, classes: int, image_size: int) -> Network:
    """Returns a network with initial weights drawn from torch's global generator.

    Raises ConfigError if the backbone does not take images of this size, CheckpointError if a file of weights
    cannot be read or does not fit.
    """
    backbone, pooling = parts.backbone.build(), parts.pooling.build()
    if path := parts.backbone.initial_weights():
        fill(parts.backbone.original(backbone), _note_normalisation(read_weights(path), parts.backbone))
    features = _features(backbone, pooling, image_size, parts.backbone.channels)
    normalisation = torch.tensor(parts.backbone.channel_statistics())
    bags = None
    if parts.instances is not None:
        from kit.model.instance_network import PooledInstances

        bags = PooledInstances(parts.instances, features)
        features = bags.count_features(features)
    side, features = build_side_input(parts, features)
    head = parts.head.build(features, parts.loss.width(classes))
    return Network(backbone, pooling, head, normalisation, side, bags)


def build_untrained(parts: Parts, classes: int, experiment: Experiment) -> Network:
    """Returns the network of `kit embed --untrained`: its weights are loaded, or drawn from the experiment's seed.

    Raises what `build` raises.
    """
    torch.manual_seed(randomness.number(experiment.seed, "weights", 0))
    return build(parts, classes, experiment.image_size)


def build_side_input(parts: Parts, features: int) -> tuple[SideInput | None, int]:
    """Returns what joins side columns with an image's features, if anything, and the number of features with them."""
    if parts.columns is None or parts.layout is None:
        return None, features
    side = SideInput(parts.columns.build(features, parts.layout), parts.layout, parts.columns.drop)
    side.eval()
    with torch.no_grad():
        with_side = side(torch.zeros(2, features), None)
    side.train()
    return side, int(with_side.shape[1])


def _note_normalisation(file: WeightFile, backbone: Backbone) -> WeightFile:
    """Returns the file with a note if it records another mean or deviation of pixels than the backbone."""
    own = backbone.normalisation()
    recorded = file.normalisation
    if recorded is None or np.allclose(recorded, own, atol=1e-3):
        return file
    text = (
        f"trained with mean {recorded[0]} and deviation {recorded[1]}, and {backbone.plugin_name()} gives it {own[0]} "
        f"and {own[1]}: another tag in backbone.arch changes them"
    )
    return replace(file, notes=(*file.notes, text))


def convert_sync_batch_norm(network: nn.Module, device: torch.device) -> None:
    """Makes a network's batch norms use statistics over the rows of all ranks, by torch.nn.SyncBatchNorm.

    Raises ConfigError C35 on a CPU, which torch does not support.
    """
    if device.type == "cpu":
        raise ConfigError(
            "sync_batch_norm needs GPUs: torch has no synchronised batch norm on a CPU",
            code="C35",
            hint="sync_batch_norm=false, or one process",
        )
    torch_internals.prepare_torchvision()
    from timm.layers import convert_sync_batchnorm

    convert_sync_batchnorm(network)


@torch.no_grad()
def _features(backbone: nn.Module, pooling: nn.Module, image_size: int, channels: int) -> int:
    """Returns the number of features of a pooled image, by trying one, without changing batch norm's averages."""
    backbone.eval()
    try:
        width = pooling(backbone(torch.zeros(1, channels, image_size, image_size))).shape[1]
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(
            f"the backbone does not accept images of {image_size} px: {str(error).splitlines()[0]}",
            code="C09",
        ) from error
    backbone.train()
    return int(width)


@torch.no_grad()
def check_view_sizes(backbone: Backbone, views: str, sizes: Iterable[int]) -> None:
    """Raises ConfigError C12 for a side in pixels that the backbone does not accept, before an image is read.

    It is tried on torch's meta device, which only computes shapes, and again on the CPU if that fails.
    """
    distinct = tuple(dict.fromkeys(sizes))
    if not distinct or _find_rejected(backbone, distinct, "meta") is None:
        return
    rejected = _find_rejected(backbone, distinct, "cpu")
    if rejected is not None:
        size, error = rejected
        raise ConfigError(
            f"views {views!r} return {size} px, which the network does not accept: "
            f"{(str(error).splitlines() or [type(error).__name__])[0]}",
            code="C12",
            hint="other factors, so that sides are multiples of the network's stride, often 32",
        ) from error


def _find_rejected(backbone: Backbone, sizes: Sequence[int], device: str) -> tuple[int, Exception] | None:
    """Returns the first side that the backbone does not accept on a device, and why; None if it takes all."""
    size = sizes[0]
    try:
        with torch.device(device), torch.random.fork_rng(devices=[]):
            built = backbone.build().eval()
            for size in sizes:
                built(torch.zeros(1, backbone.channels, size, size))
    except Exception as error:  # a network may raise anything for a size
        return size, error
    return None


def parameters(network: nn.Module) -> int:
    """Returns the number of trained weights."""
    return sum(weight.numel() for weight in network.parameters() if weight.requires_grad)


def is_part_of(name: str, prefixes: Iterable[str]) -> bool:
    """Whether a parameter's or module's name is one of the parts, or within one."""
    return any(name == prefix or name.startswith(prefix + ".") for prefix in prefixes)


def check_parts_exist(network: nn.Module, prefixes: Iterable[str], where: str) -> None:
    """Raises ConfigError C07 for a part that the network does not have."""
    known = [name for name, _ in network.named_modules() if name] + [n for n, _ in network.named_parameters()]
    for prefix in prefixes:
        if prefix not in known:
            parts = ", ".join(name for name, _ in network.named_children())
            raise ConfigError(
                f"{where}: the network has no part {prefix!r}{did_you_mean(prefix, known)}",
                code="C07",
                hint=f"its parts: {parts}, and modules inside them, such as {known[min(3, len(known) - 1)]}",
            )


def check_frozen(network: nn.Module, frozen: Sequence[str], where: str) -> None:
    """Raises ConfigError C07 for a part that the network does not have, C08 if nothing is left to train."""
    check_parts_exist(network, frozen, where)
    if frozen and all(is_part_of(name, frozen) for name, _ in network.named_parameters()):
        raise ConfigError(f"{where} freezes all parts of the network", code="C08")


def freeze(network: nn.Module, frozen: Sequence[str]) -> None:
    """Sets the network to train, except the frozen parts: no gradients, batch norm by its running statistics.

    Weights that an adapter does not train stay frozen, and so do the statistics of its backbone's batch
    norms.
    """
    network.train()
    fixed: frozenset[str] = getattr(network, "fixed", frozenset())
    for name, weight in network.named_parameters():
        weight.requires_grad_(name not in fixed and not is_part_of(name, frozen))
    for name, module in network.named_modules():
        is_norm = (
            fixed and isinstance(module, torch_internals.AnyBatchNorm) and is_part_of(name, ["backbone"])
        )
        if is_norm or is_part_of(name, frozen):
            module.eval()


def set_layerwise_lr(
    optimizer: torch.optim.Optimizer,
    network: nn.Module,
    layer_decay: float = 1.0,
    lr_scales: Mapping[str, float] | None = None,
    freezes: Iterable[Sequence[str]] = (),
) -> None:
    """Splits the optimizer's groups so that each weight has its own peak learning rate.

    A weight d layers below the head gets lr * layer_decay^d, times the scale of the longest part of
    `lr_scales` that contains it. Weights that some of `freezes` separate are in different groups, because
    torch's fused SGD cannot take in a weight whose momentum starts after that of its group. Raises
    ConfigError C07 for a part that the network does not have.

    Source: Clark et al. 2020, "ELECTRA", appendix A, and Bao et al. 2021, "BEiT" (layer-wise decay), as in
    timm.optim.param_groups_layer_decay; Howard and Ruder 2018, "ULMFiT", section 3.2 (one rate per part).
    """
    scales, freezes = lr_scales or {}, list(freezes)
    check_parts_exist(network, scales, "lr_scales")
    below = _layers_below_the_head(network) if layer_decay < 1 else {}
    keys = {
        id(weight): (
            layer_decay ** below.get(name, 0) * _of_part(name, scales),
            *(is_part_of(name, frozen) for frozen in freezes),
        )
        for name, weight in network.named_parameters()
    }
    groups = list(optimizer.param_groups)
    optimizer.param_groups.clear()
    for group in groups:
        for key in sorted({keys[id(weight)] for weight in group["params"]}):
            weights = [weight for weight in group["params"] if keys[id(weight)] == key]
            optimizer.param_groups.append({**group, "params": weights, "lr": group["lr"] * key[0]})


def _layers_below_the_head(network: nn.Module) -> dict[str, int]:
    depths = cast(Network, network).layer_groups()
    top = max(depths.values())
    return {name: top - depth for name, depth in depths.items()}


def _of_part(name: str, lr_scales: Mapping[str, float]) -> float:
    """Returns the scale of the longest part that contains a weight, or 1."""
    holding = [part for part in lr_scales if is_part_of(name, [part])]
    return lr_scales[max(holding, key=len)] if holding else 1.0
