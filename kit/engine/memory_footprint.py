"""The memory of one training step, tensor by tensor, measured at two small batches and extended to any batch
size.

Every operation of a step is watched, so a step is a sequence of moments, each with its live bytes. A
network's operations are the same for any batch, and their tensors grow by the image. So each moment is a line
in the batch size through two measured points. The peak at a size is the maximum of these lines there, at any
moment of the step.
"""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from kit.core.progress import finish
from kit.device.precision import Precision
from kit.device.torch_internals import TorchDispatchMode, storage_key, tree_leaves
from kit.engine.batches import Batch
from kit.engine.learner import Learner
from kit.engine.step import StepPlan, optimizer_step
from kit.kinds import Loss

PARTS = ("weights", "gradients", "optimizer", "average", "batch", "activations", "workspace")
PROBE_BATCHES = (2, 4)  # images of the two steps that are recorded
# tensors that no block of the network saved, such as the loss, and inputs of blocks that are computed again
OTHER = "elsewhere"


@dataclass(frozen=True, eq=False)
class Footprint:
    """The memory of a step as lines in the number of images at a time; all numbers are bytes."""

    fixed: np.ndarray  # (moments, parts): bytes of each part without images
    each: np.ndarray  # (moments, parts): bytes for each additional image
    blocks: Mapping[str, tuple[float, float]]  # activations of each block: fixed, and per image

    def parts(self, images: int) -> dict[str, int]:
        """Returns the bytes of each part at the moment of the peak; they sum to the peak."""
        bytes_by_part = np.maximum(self.fixed + images * self.each, 0)
        at = int(bytes_by_part.sum(axis=1).argmax())
        return dict(zip(PARTS, bytes_by_part[at].round().astype(int).tolist(), strict=True))

    def peak(self, images: int) -> int:
        """Returns the maximum that a step holds at once."""
        return sum(self.parts(images).values())

    def activations(self, images: int) -> dict[str, int]:
        """Returns the bytes that each block of the network saves for the backward pass, in the order of the
        forward pass.
        """
        return {name: round(fixed + per_image * images) for name, (fixed, per_image) in self.blocks.items()}


def footprint(learner: Learner, loss: Loss, batch: Batch, plan: StepPlan, precision: Precision) -> Footprint:
    """Records two steps of a learner, whose weights become invalid. `batch` has at least four rows."""
    few = [_of(batch, count) for count in PROBE_BATCHES]
    finish(
        optimizer_step(learner, loss, few[0], plan, precision, 0.0)
    )  # optimizers create their state at the first step
    first, second = (_record_steps(learner, loss, part, plan, precision) for part in few)
    return _line(first, second)


def _of(batch: Batch, count: int) -> Batch:
    rows = torch.arange(count) % len(batch)
    side = None if batch.side is None else batch.side[rows]
    return Batch(batch.images[rows], batch.labels[rows], batch.rows[rows], side=side)


def _record_steps(
    learner: Learner, loss: Loss, batch: Batch, plan: StepPlan, precision: Precision
) -> AllocationRecorder:
    learner.optimizer.zero_grad(set_to_none=True)
    average = () if learner.average is None else learner.average.module.state_dict().values()
    states = [value for state in learner.optimizer.state.values() for value in state.values()]
    watch = AllocationRecorder()
    with watch, watch.network(learner.network):
        watch.mark([*learner.network.parameters(), *learner.network.buffers()], "weights")
        watch.mark(average, "average")
        watch.mark([value for value in states if isinstance(value, Tensor)], "optimizer")
        watch.mark([batch.images, batch.labels], "batch")
        finish(optimizer_step(learner, loss, batch, plan, precision, 0.0))
    return watch


def _line(first: AllocationRecorder, second: AllocationRecorder) -> Footprint:
    (few, more), (one, other) = (
        PROBE_BATCHES,
        (np.array(first.moments, float), np.array(second.moments, float)),
    )
    if one.shape != other.shape:  # operations depend on the batch, so only the two peaks are used
        one, other = (each[each.sum(axis=1).argmax()][None] for each in (one, other))
    each = (other - one) / (more - few)
    slopes = {name: (second.blocks[name] - size) / (more - few) for name, size in first.blocks.items()}
    blocks = {name: (size - few * slopes[name], slopes[name]) for name, size in first.blocks.items()}
    return Footprint(one - few * each, each, blocks)


class AllocationRecorder(TorchDispatchMode):
    """Counts the bytes of live tensors by part, after every operation of the block."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # exclude does not reach super()
        self.held: Counter[str] = Counter()
        self.moments: list[list[int]] = []
        self.blocks: dict[str, int] = {}
        self._living: dict[int, tuple[Any, str, int]] = {}
        self._within: list[str] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        output = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(output):
            if isinstance(tensor, Tensor):
                self._see(tensor)
        self.moments.append([self.held[part] for part in PARTS])
        return output

    def mark(self, tensors: Iterable[Tensor], part: str) -> None:
        """Assigns live tensors to a part."""
        for tensor in tensors:
            key = self._see(tensor)
            if key is not None:
                reference, before, size = self._living[key]
                self._living[key] = (reference, part, size)
                self.held[before] -= size
                self.held[part] += size

    def _see(self, tensor: Tensor) -> int | None:
        """Returns the key of a tensor's storage, which counts as workspace if it was unknown; None for an empty one."""
        storage, key = tensor.untyped_storage(), storage_key(tensor)
        size = storage.nbytes()
        if not size:
            return None
        if key not in self._living:
            reference = weakref.ref(storage, lambda _: self._on_free(key))
            self._living[key] = (reference, "workspace", size)
            self.held["workspace"] += size
        return key

    def _on_free(self, key: int) -> None:
        _, part, size = self._living.pop(key)
        self.held[part] -= size

    @contextmanager
    def network(self, network: nn.Module) -> Iterator[None]:
        """Opens a block in which tensors that a network saves count as activations, and gradients of its
        weights as gradients.
        """
        trained = [weight for weight in network.parameters() if weight.requires_grad]
        handles = [weight.register_post_accumulate_grad_hook(self._on_gradient) for weight in trained]
        for name, module in list_blocks(network):
            self.blocks[name] = 0
            handles.append(module.register_forward_pre_hook(lambda *_, name=name: self._within.append(name)))
            handles.append(module.register_forward_hook(lambda *_: self._on_block_exit()))
        if getattr(
            network, "recomputes", False
        ):  # a pass that computes a block again stops within it, at the last tensor that it needs
            handles.append(network.register_forward_pre_hook(lambda *_: self._within.clear()))
            handles.append(network.register_forward_hook(lambda *_: self._within.clear()))
        self.blocks[OTHER] = 0
        try:
            with torch.autograd.graph.saved_tensors_hooks(self._on_save, lambda saved: saved):
                yield
        finally:
            for handle in handles:
                handle.remove()

    def _on_block_exit(self) -> None:
        self._within.pop()

    def _on_gradient(self, weight: Tensor) -> None:
        if weight.grad is not None:
            self.mark([weight.grad], "gradients")

    def _on_save(self, tensor: Tensor) -> Tensor:
        key = self._see(tensor)
        if key is not None and self._living[key][1] == "workspace":
            self.blocks[self._within[-1] if self._within else OTHER] += self._living[key][2]
            self.mark([tensor], "activations")
        return tensor


def list_blocks(network: nn.Module) -> list[tuple[str, nn.Module]]:
    """Returns the parts of a network with a known name: the children of its backbone, with lists replaced by
    their members.
    """
    blocks: list[tuple[str, nn.Module]] = []
    for name, child in network.named_children():
        within = list(child.named_children()) if name == "backbone" else []
        while len(within) == 1 and list(within[0][1].children()):  # a wrapper around the network
            within = list(within[0][1].named_children())
        blocks += [block for part, module in within for block in _expand_list(part, module)] or [
            (name, child)
        ]
    return blocks


def _expand_list(name: str, module: nn.Module) -> list[tuple[str, nn.Module]]:
    """Returns a list's members, if they consist of modules themselves; else the module."""
    inner = list(module.named_children()) if isinstance(module, nn.Sequential | nn.ModuleList) else []
    if not any(list(child.children()) for _, child in inner):
        return [(name, module)]
    return [(f"{name}.{part}", child) for part, child in inner]
