"""predict: probabilities of rows from one or several networks, over views, merged as they come."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from kit.core.batching import even_batches
from kit.core.progress import Progress, Work
from kit.device import memory
from kit.device.precision import Precision
from kit.errors import ConfigError, RunError
from kit.kinds import Loss, Views

if TYPE_CHECKING:
    from kit.engine.batches import Batch

Merge = Literal["mean", "geometric"]
View = Callable[[Tensor], Tensor]
PLAIN = "plain"  # what the image as it is is called among views
MIN_PROBABILITY = (
    1e-7  # probabilities below count as this in a geometric mean, so that one view cannot veto a class
)


class NetworkOnDevice(Protocol):
    """A network on its device, and what is made of what it says of an image's views."""

    @property
    def network(self) -> nn.Module: ...

    @property
    def precision(self) -> Precision: ...

    @property
    def device(self) -> torch.device: ...

    def predict_views(self, images: Tensor, views: Sequence[View], merge: Merge) -> Tensor:
        """A row (N, any) float32 of a batch of uint8 images (N, 3, H, W) on the network's device."""
        ...


@dataclass(frozen=True)
class Predictor:
    """A network on its device, and what is needed to turn its outputs into probabilities."""

    network: nn.Module
    loss: Loss
    precision: Precision
    multi_label: bool = False

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.network.parameters()).device

    def predict_views(self, images: Tensor, views: Sequence[View], merge: Merge) -> Tensor:
        """The mean over views of probabilities, or their geometric mean brought back to sum 1, (N, K).

        Where a row may have several labels, the geometric means of p and of 1 - p are brought to sum 1 for each class.
        """
        total: Any = 0
        for view in views:
            found = self.probabilities(self.precision.to_layout(view(images), self.device))
            if merge == "geometric":
                found = (
                    found.logit(MIN_PROBABILITY)
                    if self.multi_label
                    else found.clamp(min=MIN_PROBABILITY).log()
                )
            total = total + found
        mean: Tensor = total / len(views)
        if merge == "mean":
            return mean
        return mean.sigmoid() if self.multi_label else mean.softmax(dim=1)

    def probabilities(self, images: Tensor) -> Tensor:
        """Probabilities (N, K) float32 of a batch of uint8 images (N, 3, H, W) on the network's device."""
        with self.precision.autocast_prediction(self.device):
            outputs = self.network(images)
        with torch.inference_mode():
            return self.loss.probabilities(outputs.float())


def open_views(views: Views, size: int, fixed: int | None = None) -> list[View]:
    """The product of the transforms, duplicates left out, the image as it is first where it is among them.

    Raises ConfigError where a view changes the size and the network takes one alone (`fixed`).
    """
    transforms = _product(views)
    return [transforms[number].augment_image for number in _distinct(views, transforms, size, fixed)]


def unique_views(views: Views, size: int = 32) -> dict[int, str]:
    """The numbers of a set's views that differ, in the product of its transforms, each with what it does in words."""
    transforms = _product(views)
    return {number: _words(transforms[number]) for number in _distinct(views, transforms, size, None)}


def _product(views: Views) -> list[Any]:
    import ttach

    return list(ttach.Compose(views.views()))


def _distinct(views: Views, transforms: Sequence[Any], size: int, fixed: int | None) -> list[int]:
    """The places of transforms that show a random image as none before them does."""
    probe = torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(0))
    shown: list[Tensor] = []
    kept: list[int] = []
    for number, transform in enumerate(transforms):
        picture = transform.augment_image(probe)
        if fixed is not None and picture.shape[2:] != (fixed, fixed):
            sides = "x".join(map(str, picture.shape[2:]))
            raise ConfigError(
                f"views {views.plugin_name()!r} return {sides} px, but the network accepts only {fixed} px",
                code="C12",
            )
        if not any(torch.equal(picture, other) for other in shown):
            shown.append(picture)
            kept.append(number)
    return kept


def _words(transform: Any) -> str:
    """What one of ttach's products does, such as `hflip, rotate90 angle 180`; the image as it is is `plain`."""
    parts = []
    for step in transform.image_pipeline.functions:
        owner, given = step.func.__self__, dict(step.keywords)
        (value,) = given.values()
        if value != owner.identity_param:
            name = type(owner).__name__.lower().removesuffix("flip") + ("flip" if value is True else "")
            parts.append(name if value is True else f"{name} {value}")
    return ", ".join(parts) or PLAIN


def predict_all(
    predictors: Sequence[Predictor],
    batches: Iterable[Batch],
    views: Sequence[View],
    merge: Merge,
    rows: int,
    task: str,
) -> Work[list[np.ndarray]]:
    """Probabilities (rows, K) float32 of each predictor: every image is read once for all views and networks.

    Of no rows, an array (0, 0).
    """
    found: list[list[np.ndarray]] = [[] for _ in predictors]
    done, groups = 0, SafeBatchSize()
    for predictor in predictors:
        predictor.network.eval()
    for batch in batches:
        for predictor, kept in zip(predictors, found, strict=True):
            made = yield from predict_with_oom_retry(
                predictor, batch.images, views, merge, groups, Progress(task, done, rows)
            )
            kept.append(made.cpu().numpy())
        done += len(batch.rows)
        yield Progress(task, done, rows, f"{len(views)} view{'s' * (len(views) > 1)}")
    nothing = np.empty((0, 0), np.float32)
    return [np.concatenate(kept) if kept else nothing for kept in found]


@dataclass
class SafeBatchSize:
    """How many images are predicted at a time, once memory ran out with more."""

    size: int | None = None


def predict_with_oom_retry(
    predictor: NetworkOnDevice,
    images: Tensor,
    views: Sequence[View],
    merge: Merge,
    groups: SafeBatchSize,
    at: Progress,
) -> Work[Tensor]:
    """What a network says of images, wherever they are, of fewer at a time where memory runs out.

    Raises RunError R02 where one does not fit.
    """
    while True:
        size = min(groups.size or len(images), len(images))
        try:
            found = []
            for part in even_batches(len(images), size):
                arranged = predictor.precision.to_layout(images[part[0] : part[-1] + 1], predictor.device)
                found.append(predictor.predict_views(arranged, views, merge))
            return torch.cat(found)
        except Exception as error:
            if not memory.is_out_of_memory(error):
                raise
            said = f"R02 out of memory ({at.detail or at.task}, row {at.done + 1:.0f}) with {size} images at a time: "
            said += str(memory.device_memory(predictor.device))
        memory.empty_cache(predictor.device)  # out of the except block, which holds the failed pass's tensors
        if size == 1:
            raise RunError(
                said.removeprefix("R02 "),
                code="R02",
                hint="use a smaller image_size, or fewer networks at once",
            )
        groups.size = -(-size // 2)
        yield replace(at, detail=f"{said}; continuing with {groups.size} at a time", line=True)
