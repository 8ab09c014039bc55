"""predict: a network's probabilities of a batch, over views, of fewer images at a time where memory runs out.

In float32, batch norm is fused into the kernels before it, in a copy of the network that only predicts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from kit.core.batching import even_batches
from kit.core.progress import Progress, Work
from kit.device import memory
from kit.device.precision import Precision, channels_of
from kit.device.torch_internals import is_compiled
from kit.errors import ConfigError, RunError
from kit.kinds import Loss, Views
from kit.kinds.targets import ONE_CLASS, Target

FUSION_TOLERANCE = (
    1e-4  # largest difference on the probe, as a share of the largest output; float32 gives 1e-6
)
PROBE = 2  # images

Pair = tuple[nn.Conv2d, nn.BatchNorm2d]


@torch.no_grad()
def fuse(network: nn.Module, size: int) -> nn.Module:
    """A copy of a network for predicting in float32, or the network itself where nothing can be fused.

    Which kernels feed which norms is seen by showing the network images of `size` px, and the copy is taken only where
    it gives the same outputs; so any backbone may come. In bf16 it would round otherwise: as near to float32 as the
    plain network is, but with another top class on 6 rows in 1,000.

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
        found = copied(images)
    except Exception:  # code that looks into its own norms may raise anything where there are none
        return network
    near = (
        found.shape == wanted.shape and (found - wanted).abs().max() <= FUSION_TOLERANCE * wanted.abs().max()
    )
    return copied if near else network


def _pairs(network: nn.Module, images: Tensor) -> tuple[list[Pair], Tensor]:
    """Kernels whose outputs are the inputs of norms, each at work once in a forward pass; and the pass's outputs."""
    made: dict[
        int, tuple[nn.Conv2d, Tensor]
    ] = {}  # tensors are held, so that no other takes their place in memory
    pairs: list[Pair] = []
    calls: Counter[nn.Module] = Counter()

    def after_kernel(module: nn.Module, given: Any, output: Tensor) -> None:
        calls[module] += 1
        made[id(output)] = (cast(nn.Conv2d, module), output)

    def before_norm(module: nn.Module, given: tuple[Tensor, ...]) -> None:
        calls[module] += 1
        if id(given[0]) in made:
            pairs.append((made[id(given[0])][0], cast(nn.BatchNorm2d, module)))

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
    """What a norm does besides; timm's BatchNormAct2d goes on with a drop and an activation."""
    drop, act = getattr(norm, "drop", None), getattr(norm, "act", None)
    steps = [step for step in (drop, act) if isinstance(step, nn.Module)]
    return nn.Sequential(*steps) if steps else nn.Identity()


def for_predicting(network: nn.Module, precision: Precision, size: int) -> nn.Module:
    """What predicts images of `size` px: a fused copy where that is exact, a plain copy of a compiled network."""
    if is_compiled(network):
        network = deepcopy(network)
    return fuse(network, size) if precision.predict == "float32" else network


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
        """A row (N, any) float32 of a batch of uint8 images (N, channels, H, W) on the network's device."""
        ...


@dataclass(frozen=True)
class Predictor:
    """A network on its device, and what is needed to turn its outputs into probabilities."""

    network: nn.Module
    loss: Loss
    precision: Precision
    target: Target = ONE_CLASS

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
                found = self.target.to_logs(found, MIN_PROBABILITY)
            total = total + found
        mean: Tensor = total / len(views)
        if merge == "mean":
            return mean
        return self.target.from_logs(mean)

    def probabilities(self, images: Tensor) -> Tensor:
        """Probabilities (N, K) float32 of a batch of uint8 images (N, channels, H, W) on the network's device."""
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
