"""predict: networks' probabilities of batches of images, over views; with fewer images at a time if memory runs out.

Every image is read once and copied to the device once. Each network receives the same batches as if it were
alone, so its predictions do not depend on the other networks, to the bit. A GPU predicts several batches
together, and its results are read one batch late. In float32, batch norm is fused into the preceding kernels,
in a copy of the network that only predicts.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from kit.core.batching import even_batches
from kit.core.progress import Progress, Work
from kit.device import memory
from kit.device.memory import HostCopies
from kit.device.precision import Precision, channels_of
from kit.device.torch_internals import is_compiled
from kit.errors import ConfigError, RunError
from kit.kinds import Loss, Views
from kit.kinds.targets import ONE_CLASS, Target
from kit.model.images_at_once import bytes_per_image

if TYPE_CHECKING:
    from kit.data.column_encoder import ColumnEncoder, SideValues
    from kit.data.table import Table
    from kit.engine.batches import Batch

FUSION_TOLERANCE = (
    1e-4  # largest difference on the probe, as a share of the largest output; float32 gives 1e-6
)
PROBE = 2  # images

Pair = tuple[nn.Conv2d, nn.BatchNorm2d]


@torch.no_grad()
def fuse(network: nn.Module, size: int) -> nn.Module:
    """Returns a copy of a network for predicting in float32, or the network itself if nothing can be fused.

    Kernels and their norms are found by running the network on images of `size` px. The copy is used only if
    it gives the same outputs, so any backbone is possible. In bf16 it would round differently: as near to
    float32 as the plain network is, but with another top class on 6 rows in 1,000.

    Source: torch.nn.utils.fusion.fuse_conv_bn_eval.
    """
    device = next(network.parameters()).device
    draws = torch.Generator().manual_seed(0)
    images = (
        torch.randint(0, 256, (PROBE, channels_of(network), size, size), generator=draws).float().to(device)
    )
    copied = deepcopy(network).eval()
    pairs, wanted = _pairs(copied, images)
    if not pairs:
        return network
    names = {module: name for name, module in copied.named_modules()}
    for kernel, norm in pairs:
        _fuse(kernel, norm)
        copied.set_submodule(names[norm], _rest(norm))
    try:
        fused = copied(images)
    except Exception:  # code that inspects its own norms may raise anything if they are missing
        return network
    near = (
        fused.shape == wanted.shape and (fused - wanted).abs().max() <= FUSION_TOLERANCE * wanted.abs().max()
    )
    return copied if near else network


def _pairs(network: nn.Module, images: Tensor) -> tuple[list[Pair], Tensor]:
    """Returns kernels whose outputs are the inputs of norms, each called once in a forward pass; and the
    pass's outputs.
    """
    convolutions_by_output: dict[
        int, tuple[nn.Conv2d, Tensor]
    ] = {}  # references that keep other tensors from reusing their memory
    pairs: list[Pair] = []
    calls: Counter[nn.Module] = Counter()

    def after_kernel(module: nn.Module, given: Any, output: Tensor) -> None:
        calls[module] += 1
        convolutions_by_output[id(output)] = (cast(nn.Conv2d, module), output)

    def before_norm(module: nn.Module, given: tuple[Tensor, ...]) -> None:
        calls[module] += 1
        if id(given[0]) in convolutions_by_output:
            pairs.append((convolutions_by_output[id(given[0])][0], cast(nn.BatchNorm2d, module)))

    with ExitStack() as stack:
        for module in network.modules():
            if type(module) is nn.Conv2d:
                stack.callback(module.register_forward_hook(after_kernel).remove)
            elif isinstance(module, nn.BatchNorm2d) and module.track_running_stats:
                stack.callback(module.register_forward_pre_hook(before_norm).remove)
        outputs = network(images)
    return [pair for pair in pairs if calls[pair[0]] == calls[pair[1]] == 1], cast(Tensor, outputs)


def _fuse(kernel: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    kernel.weight, kernel.bias = fuse_conv_bn_weights(
        kernel.weight, kernel.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
    )


def _rest(norm: nn.BatchNorm2d) -> nn.Module:
    """Returns the operations of a norm layer after the normalisation: timm's BatchNormAct2d has a drop layer
    and an activation.
    """
    drop, act = getattr(norm, "drop", None), getattr(norm, "act", None)
    steps = [step for step in (drop, act) if isinstance(step, nn.Module)]
    return nn.Sequential(*steps) if steps else nn.Identity()


def for_predicting(network: nn.Module, precision: Precision, size: int) -> nn.Module:
    """Returns the network for images of `size` px: fused if that is exact, plain if it is compiled."""
    if getattr(network, "fixed", ()):
        from kit.model.adapters import merge

        network = merge(network)
    if is_compiled(network):
        network = deepcopy(network)
    return fuse(network, size) if precision.predict == "float32" else network


MAX_TRAINING_BATCHES = 4  # predicted together: without gradients a batch of training's size leaves a GPU idle
USABLE_SHARE = 0.5  # of the free memory, because workspaces of kernels are not counted
Merge = Literal["mean", "geometric"]
View = Callable[[Tensor], Tensor]
PLAIN = "plain"  # the name of the unchanged image among views
# smaller probabilities count as this in a geometric mean, so that one view cannot veto a class
MIN_PROBABILITY = 1e-7


class NetworkOnDevice(Protocol):
    """A network on its device, and the merging of its outputs over an image's views."""

    @property
    def network(self) -> nn.Module: ...

    @property
    def precision(self) -> Precision: ...

    @property
    def device(self) -> torch.device: ...

    def predict_views(
        self, images: Tensor, views: Sequence[View], merge: Merge, side: Tensor | None = None
    ) -> Tensor:
        """Returns a row (N, any) float32 for a batch of uint8 images (N, channels, H, W) on the network's device."""
        ...


@dataclass(frozen=True)
class Predictor:
    """A network on its device, with all that turns its outputs into probabilities."""

    network: nn.Module
    loss: Loss
    precision: Precision
    target: Target = ONE_CLASS
    columns: ColumnEncoder | None = None  # of the side columns that the network takes

    @property
    def device(self) -> torch.device:
        """The device of the network."""
        return next(self.network.parameters()).device

    def encode_columns(self, table: Table, split: str) -> SideValues | None:
        """Returns the side columns of a table's rows, if the network takes any. Raises ConfigError C07."""
        return None if self.columns is None else self.columns.encode(table, split)

    def predict_views(
        self, images: Tensor, views: Sequence[View], merge: Merge, side: Tensor | None = None
    ) -> Tensor:
        """Returns the mean over views of probabilities, or their geometric mean scaled to sum 1, (N, K).

        If a row may have several labels, the geometric means of p and of 1 - p are scaled to sum 1 for each
        class.
        """
        total: Any = 0
        for view in views:
            predicted = self.probabilities(self.precision.to_layout(view(images), self.device), side)
            if merge == "geometric":
                predicted = self.target.to_logs(predicted, MIN_PROBABILITY)
            total = total + predicted
        mean: Tensor = total / len(views)
        if merge == "mean":
            return mean
        return self.target.from_logs(mean)

    def probabilities(self, images: Tensor, side: Tensor | None = None) -> Tensor:
        """Returns probabilities (N, K) float32 of uint8 images (N, channels, H, W) and side values (N, W)."""
        with self.precision.autocast_prediction(self.device):
            outputs = self.network(images) if side is None else self.network(images, side.to(self.device))
        with torch.inference_mode():
            return self.loss.probabilities(outputs.float())


def open_views(views: Views, size: int, fixed: int | None = None) -> list[View]:
    """Returns the product of the transforms without duplicates, with the unchanged image first if it is among them.

    Raises ConfigError if a view changes the size and the network takes only one (`fixed`).
    """
    transforms = _product(views)
    return [transforms[number].augment_image for number in _distinct(views, transforms, size, fixed)]


def unique_views(views: Views, size: int = 32) -> dict[int, str]:
    """Returns the numbers of a set's distinct views, in the product of its transforms, each with a description."""
    transforms = _product(views)
    return {number: _words(transforms[number]) for number in _distinct(views, transforms, size, None)}


def _product(views: Views) -> list[Any]:
    import ttach

    return list(ttach.Compose(views.views()))


def _distinct(views: Views, transforms: Sequence[Any], size: int, fixed: int | None) -> list[int]:
    """Returns the positions of transforms that show a random image differently from all before them."""
    probe = torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(0))
    pictures: list[Tensor] = []
    numbers: list[int] = []
    for number, transform in enumerate(transforms):
        picture = transform.augment_image(probe)
        if fixed is not None and picture.shape[2:] != (fixed, fixed):
            sides = "x".join(map(str, picture.shape[2:]))
            raise ConfigError(
                f"views {views.plugin_name()!r} return {sides} px, but the network accepts only {fixed} px",
                code="C12",
            )
        if not any(torch.equal(picture, other) for other in pictures):
            pictures.append(picture)
            numbers.append(number)
    return numbers


def _words(transform: Any) -> str:
    """Describes one of ttach's products, such as `hflip, rotate90 angle 180`; the unchanged image is `plain`."""
    parts = []
    for step in transform.image_pipeline.functions:
        owner, given = step.func.__self__, dict(step.keywords)
        (value,) = given.values()
        if value != owner.identity_param:
            name = type(owner).__name__.lower().removesuffix("flip") + ("flip" if value is True else "")
            parts.append(name if value is True else f"{name} {value}")
    return ", ".join(parts) or PLAIN


@dataclass
class SafeBatchSize:
    """The number of images that are predicted at a time, after memory ran out with more."""

    size: int | None = None


def predict_with_oom_retry(
    predictor: NetworkOnDevice,
    images: Tensor,
    views: Sequence[View],
    merge: Merge,
    groups: SafeBatchSize,
    at: Progress,
    side: Tensor | None = None,
) -> Work[Tensor]:
    """Predicts images on any device, fewer at a time if memory runs out. Raises RunError R02 if one does not fit."""
    while True:
        size = min(groups.size or len(images), len(images))
        try:
            parts = []
            for part in even_batches(len(images), size):
                rows = slice(part[0], part[-1] + 1)
                arranged = predictor.precision.to_layout(images[rows], predictor.device)
                values = None if side is None else side[rows]
                parts.append(predictor.predict_views(arranged, views, merge, values))
            return torch.cat(parts)
        except Exception as error:
            if not memory.is_out_of_memory(error):
                raise
            message = (
                f"R02 out of memory ({at.detail or at.task}, row {at.done + 1:.0f}) with {size} images at a time: "
                f"{memory.device_memory(predictor.device)}"
            )
        memory.empty_cache(predictor.device)  # out of the except block, which holds the failed pass's tensors
        if size == 1:
            raise RunError(
                message.removeprefix("R02 "),
                code="R02",
                hint="use a smaller image_size, or fewer networks at once",
            )
        groups.size = -(-size // 2)
        yield replace(at, detail=f"{message}; continuing with {groups.size} at a time", line=True)


def predict_all(
    predictors: Sequence[Predictor],
    batches: Iterable[Batch],
    views: Sequence[View],
    merge: Merge,
    rows: int,
    task: str,
) -> Work[list[np.ndarray]]:
    """Returns probabilities (rows, K) float32 of each predictor.

    Every image is read once for all views and networks. Without rows it is an array (0, 0).
    """
    parts_by_predictor: list[list[np.ndarray]] = [[] for _ in predictors]
    done, groups, copies = 0, SafeBatchSize(), HostCopies()
    for predictor in predictors:
        predictor.network.eval()
    readers = [(predictor, views, merge) for predictor in predictors]
    for images, side in _gather(batches, readers):
        for predictor, parts in zip(predictors, parts_by_predictor, strict=True):
            predictions = yield from predict_with_oom_retry(
                predictor, images, views, merge, groups, Progress(task, done, rows), side
            )
            copies.add(predictions, parts.append)
        done += len(images)
        yield Progress(task, done, rows, f"{len(views)} view{'s' * (len(views) > 1)}")
    copies.finish()
    nothing = np.empty((0, 0), np.float32)
    return [np.concatenate(parts) if parts else nothing for parts in parts_by_predictor]


def training_batches_at_once(
    readers: Sequence[tuple[NetworkOnDevice, Sequence[View], Merge]], images: Tensor, batch_size: int
) -> int:
    """Returns how many batches of `batch_size` images these networks predict at a time; 1 without a CUDA GPU.

    Each network predicts one of the images, and the largest layer's inputs and outputs are counted.
    """
    device = readers[0][0].device
    if device.type != "cuda":
        return 1
    need = max(bytes_per_image(reader, views, merge, images[:1]) for reader, views, merge in readers)
    fitting = int(USABLE_SHARE * memory.device_memory(device).free) // max(1, need * batch_size)
    return max(1, min(MAX_TRAINING_BATCHES, fitting))


def _gather(
    batches: Iterable[Batch], readers: Sequence[tuple[NetworkOnDevice, Sequence[View], Merge]]
) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Yields images on the networks' device, as many as it predicts at a time, and side values."""
    waiting: list[Tensor] = []
    sides: list[Tensor] = []
    together = 0
    for batch in batches:
        waiting.append(_move(batch.images, readers[0][0].device))
        sides += [] if batch.side is None else [batch.side]
        together = together or training_batches_at_once(readers, waiting[0], len(batch.rows))
        if len(waiting) == together:
            yield from _with_side(_join(waiting), sides)
            waiting, sides = [], []
    yield from _with_side(_join(waiting), sides)


def _with_side(images: Sequence[Tensor], sides: Sequence[Tensor]) -> list[tuple[Tensor, Tensor | None]]:
    """Returns each part of the images with its side values; `sides` are those of all parts, in the same order."""
    if not sides:
        return [(part, None) for part in images]
    return list(zip(images, torch.cat(list(sides)).split(list(map(len, images))), strict=True))


def _move(images: Tensor, device: torch.device) -> Tensor:
    """Returns the images on a device, or where they are if it lacks the memory; they are then copied in parts."""
    try:
        return images.to(device, non_blocking=True)
    except Exception as error:
        if not memory.is_out_of_memory(error):
            raise
    memory.empty_cache(device)
    return images


def _join(parts: Sequence[Tensor]) -> list[Tensor]:
    """Returns the images of all parts in one tensor, or the parts if they cannot be joined."""
    if len(parts) < 2 or len({part.device for part in parts}) > 1:
        return list(parts)
    try:
        return [torch.cat(list(parts))]
    except Exception as error:
        if not memory.is_out_of_memory(error):
            raise
    return list(parts)


@dataclass(frozen=True, eq=False)
class NetworkReader:
    """A network that shares a stream of images: its rows, their batches, and the destination of its predictions."""

    predictor: NetworkOnDevice
    views: Sequence[View]
    merge: Merge
    rows: np.ndarray  # (N,) int64, positions in the table, ascending
    batch_size: int
    predictions: np.ndarray  # (any number of rows, K) of floats, such as probabilities, to be filled
    places: np.ndarray  # (N,) int64, the row of `found` that is filled for each of `rows`
    side: SideValues | None = None  # the table's side columns, as the network takes them

    def fill(self, part: slice, predictions: np.ndarray) -> None:
        """Writes the network's predictions of a part of `rows` to their positions."""
        self.predictions[self.places[part]] = predictions

    def side_of(self, part: slice) -> Tensor | None:
        return None if self.side is None else torch.from_numpy(self.side.of(self.rows[part]))


class Rebatcher:
    """Cuts batches with ascending rows into batches of some of these rows, all of one size except the last."""

    def __init__(self, rows: np.ndarray, size: int) -> None:
        self.rows, self.size = rows, size
        self._waiting: list[Tensor] = []
        self._held, self._begun = 0, 0  # waiting images, and the number of rows that were passed on

    def rebatch(self, batch: Batch) -> Iterator[tuple[slice, Tensor]]:
        """Yields the batches that are complete: their positions in `rows`, and their images."""
        self._keep(batch)
        while self._held >= self.size or (self._held and self._begun + self._held == len(self.rows)):
            waiting = self._waiting[0] if len(self._waiting) == 1 else torch.cat(self._waiting)
            count = min(self.size, self._held)
            self._waiting = [waiting[count:]] if count < self._held else []
            yield slice(self._begun, self._begun + count), waiting[:count]
            self._held, self._begun = self._held - count, self._begun + count

    def _keep(self, batch: Batch) -> None:
        there = batch.rows.numpy()
        low, high = np.searchsorted(self.rows, [there[0], there[-1] + 1])
        if low == high:
            return
        images = batch.images
        if high - low < len(there):
            chosen = torch.from_numpy(np.searchsorted(there, self.rows[low:high]))
            # rows of memory in their order; an index on the host would make the host wait for the GPU
            lying = images.permute(0, 2, 3, 1)
            images = lying[chosen.to(images.device, non_blocking=True)].permute(0, 3, 1, 2)
        self._waiting.append(images)
        self._held += int(high - low)


def predict_shared(
    readers: Sequence[NetworkReader], batches: Iterable[Batch], task: str, detail: str
) -> Work[None]:
    """Fills each reader's predictions from batches with the rows of all of them, ascending."""
    with memory.retain_freed_memory(readers[0].predictor.device):
        yield from _predict_passes(readers, batches, task, detail)


def _predict_passes(
    readers: Sequence[NetworkReader], batches: Iterable[Batch], task: str, detail: str
) -> Work[None]:
    groups, copies = SafeBatchSize(), HostCopies()
    cutters: list[tuple[Rebatcher, list[NetworkReader]]] = []
    done, total = 0, sum(len(reader.rows) for reader in readers)
    for batch in batches:
        moved = replace(batch, images=_move(batch.images, readers[0].predictor.device))
        cutters = cutters or _cutters(readers, moved.images)
        before = done
        for cutter, those in cutters:
            for part, images in cutter.rebatch(moved):
                for reader in those:
                    at = Progress(task, done, total, detail)
                    predictions = yield from predict_with_oom_retry(
                        reader.predictor, images, reader.views, reader.merge, groups, at, reader.side_of(part)
                    )
                    copies.add(predictions, partial(reader.fill, part))
                    done += len(images)
        if done > before:  # otherwise all that was read would wait for more of its kind
            yield Progress(task, done, total, detail)
    copies.finish()


def _cutters(readers: Sequence[NetworkReader], images: Tensor) -> list[tuple[Rebatcher, list[NetworkReader]]]:
    """Returns the networks that receive the same batches, with their rebatcher."""
    shared: dict[tuple[str, int], list[NetworkReader]] = {}
    for reader in readers:
        reader.predictor.network.eval()
        name = hashlib.sha256(reader.rows.tobytes()).hexdigest()
        shared.setdefault((name, reader.batch_size), []).append(reader)
    cutters = []
    for those in shared.values():
        networks = [(reader.predictor, reader.views, reader.merge) for reader in those]
        together = training_batches_at_once(networks, images, those[0].batch_size)
        cutters.append((Rebatcher(those[0].rows, together * those[0].batch_size), those))
    return cutters
