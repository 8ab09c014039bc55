"""Describes a lack of memory in a step, while the failed step still holds its memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from kit.device import memory
from kit.device.memory import DeviceMemory
from kit.device.torch_internals import AnyBatchNorm
from kit.engine.learner import Learner
from kit.errors import RunError


@dataclass(frozen=True)
class OutOfMemory:
    """Reports that memory ran out in a step, and that it continues with fewer images at a time.

    Sizes are in images, memory is in bytes.
    """

    where: str  # forward, backward, ...
    epoch: int
    step: int
    batch: int
    tried: int
    smaller: int
    parts: Mapping[str, int]
    device_memory: DeviceMemory
    batch_norm: bool
    rank: int = 0

    def place(self) -> str:
        """Returns where it ran out, in words."""
        rank = f"rank {self.rank}, " if self.rank else ""
        return f"{rank}{self.where}, epoch {self.epoch + 1}, step {self.step + 1}"

    def __str__(self) -> str:
        differs = ", which batch norm now uses for its statistics" if self.batch_norm else ""
        return (
            f"R02 out of memory ({self.place()}) with {self.tried} images at a time: "
            f"{memory.describe_parts(self.parts)}; {self.device_memory}; continuing with {self.smaller} at a "
            f"time{differs}, the batch stays {self.batch}"
        )


def describe_oom(learner: Learner, count: int, size: int) -> OutOfMemory:
    """Describes a failed step while it still holds its memory."""
    parts, room_of_device = memory.learner_bytes(learner), memory.device_memory(learner.device)
    parts["activations and other"] = max(0, room_of_device.taken - sum(parts.values()))
    return OutOfMemory(
        learner.phase,
        learner.epoch,
        learner.step,
        count,
        size,
        -(-size // 2),
        parts,
        room_of_device,
        _has_batch_norm(learner.network),
        learner.ranks.rank,
    )


def _has_batch_norm(network: nn.Module) -> bool:
    return any(isinstance(module, AnyBatchNorm) for module in network.modules())


def sync_batch_norm_oom(short: OutOfMemory) -> RunError:
    """Returns the error for synchronised batch norm: the other ranks wait within their forward pass, so no
    rank can start again.
    """
    return RunError(
        f"out of memory ({short.place()}) with {short.tried} images at a time: "
        f"{memory.describe_parts(short.parts)}; {short.device_memory}; with sync_batch_norm ranks cannot repeat a "
        "step",
        code="R02",
        hint=f"micro_batch_size={short.smaller} under another --name",
    )


def advise_less_memory(network: nn.Module, parts: str) -> str:
    """Returns a hint for a step that does not fit: smaller `parts`, and gradient checkpointing if it is possible."""
    backbone = getattr(network, "backbone", None)
    is_possible = hasattr(backbone, "set_grad_checkpointing") and not getattr(network, "recomputes", False)
    more = "gradient_checkpointing=true, " if is_possible else ""
    return f"use {more}a smaller {parts}, or a device with more memory"
