"""Learner: what training changes, all that an identical continuation needs of it, and gradients over ranks.

Gradients are added up over ranks in buckets while the backward pass still runs, as torch's DistributedDataParallel
does. One thing differs: a rank that cannot finish its pass sends zeros for the rest. So no rank waits, and all begin
the step again.

Source: Li et al. 2020, "PyTorch Distributed: Experiences on Accelerating Data Parallel Training", section 3.2.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from kit.device.precision import Precision
from kit.device.ranks import ALONE, AsyncAllReduce, Ranks
from kit.device.torch_internals import copy_all
from kit.model.weight_averaging import Ema, Swa, WeightAverage


def float_tensors(tensors: Iterable[Tensor]) -> list[Tensor]:
    """Those that hold floats, as batch norm's statistics do and its count of batches does not."""
    return [tensor for tensor in tensors if tensor.is_floating_point()]


class Buffers:
    """A network's buffers as they were before a step: a forward pass moves batch norm's, even one that fails.

    Batch norm's statistics and counters become views of one tensor for each dtype. On a GPU each copy is a launch:
    resnet50 has 161 buffers, and they are saved and restored in every step.
    """

    def __init__(self, network: nn.Module) -> None:
        buffers = list(network.buffers())
        # others, such as tables of positions, may be arranged in memory in their own way
        small = [buffer for buffer in buffers if buffer.dim() <= 1 and buffer.is_contiguous()]
        by_dtype: dict[torch.dtype, list[Tensor]] = {}
        for buffer in small:
            by_dtype.setdefault(buffer.dtype, []).append(buffer)
        self._live = [_in_one(those) for those in by_dtype.values()]
        self._live += [buffer for buffer in buffers if all(buffer is not other for other in small)]
        self.floating = float_tensors(self._live)  # as they are, not as they were
        self._kept = [buffer.clone() for buffer in self._live]

    @torch.no_grad()
    def save(self) -> None:
        """Remembers them."""
        for kept, live in zip(self._kept, self._live, strict=True):
            kept.copy_(live)

    @torch.no_grad()
    def restore(self, where: Tensor | None = None) -> None:
        """Makes them what they were; with `where`, a bool on the device, only if it is true, without waiting for it."""
        for live, kept in zip(self._live, self._kept, strict=True):
            live.copy_(kept if where is None else torch.where(where, kept, live))


@torch.no_grad()
def _in_one(buffers: Sequence[Tensor]) -> Tensor:
    """Makes buffers of one dtype views of one tensor, each at a multiple of 64 bytes; returns that tensor."""
    step = 64 // buffers[0].element_size()
    places = [-(-buffer.numel() // step) * step for buffer in buffers]
    whole = torch.zeros(sum(places), dtype=buffers[0].dtype, device=buffers[0].device)
    for buffer, place in zip(buffers, whole.split(places), strict=True):
        view = place[: buffer.numel()].view(buffer.shape)
        view.copy_(buffer)
        buffer.data = view
    return whole


@dataclass
class Learner:
    """The weights, their average, the optimizer, and how many steps are done."""

    network: nn.Module
    optimizer: torch.optim.Optimizer
    average: WeightAverage | None
    scaler: torch.amp.GradScaler
    peaks: list[float] = field(default_factory=list)
    step: int = 0
    epoch: int = 0
    # of the epoch that is begun: steps done; the sum of rows' losses and how many rows, (2,), on the device
    steps_in_epoch: int = 0
    loss_sum: Tensor | None = None
    micro_batch_size: int | None = None  # images at a time, once memory ran out with more
    mixes_on_host: bool = False  # once the device's memory was too small for a whole batch
    skipped: int = 0  # steps in a row that were left out
    # of the epoch that is begun: steps that were left out, and those that float16's scaler left out, on the device
    skipped_in_epoch: int = 0
    overflows: Tensor | int = 0
    phase: str = ""  # the part of a step that it is at
    gradients: Gradients | None = None  # what adds them up, where several ranks train
    ranks: Ranks = ALONE  # the processes that train this learner together

    def __post_init__(self) -> None:
        self.saved_buffers = Buffers(self.network)

    def state(self) -> dict[str, Any]:
        """All but the weights: what else an identical continuation needs."""
        return {
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "average": {} if self.average is None else self.average.state(),
            "peaks": self.peaks,
            "step": self.step,
            "epoch": self.epoch,
            "begun": self.steps_in_epoch,
            "summed": None if self.loss_sum is None else self.loss_sum.cpu(),
            "micro_batch_size": self.micro_batch_size,
            "skipped": self.skipped,
            "left_out": self.skipped_in_epoch,
            "overflows": int(self.overflows),
        }

    def load(
        self, state: dict[str, Any], weights: dict[str, Tensor], average: dict[str, Tensor] | None
    ) -> None:
        """Takes up a state written by `state`, with the weights and their average, where that is ready."""
        self.network.load_state_dict(weights)
        if self.average is not None and average is not None:
            self.average.load(state["average"], average)
        self.optimizer.load_state_dict(state["optimizer"])
        if state["scaler"]:  # none of a device where the same run trains in another dtype than float16
            self.scaler.load_state_dict(state["scaler"])
        self.peaks, self.step, self.epoch = state["peaks"], state["step"], state["epoch"]
        self.steps_in_epoch = state["begun"]
        self.loss_sum = None if state["summed"] is None else state["summed"].to(self.device)
        self.micro_batch_size, self.skipped = state["micro_batch_size"], state["skipped"]
        self.skipped_in_epoch, self.overflows = state["left_out"], state["overflows"]

    def disable_foreach(self) -> None:
        """Makes the optimizer move a tensor at a time, which needs less memory beside them than all at once."""
        for group in self.optimizer.param_groups:
            if "foreach" in group and not group.get("fused"):
                group["foreach"] = False

    @property
    def average_network(self) -> nn.Module | None:
        """The averaged network, once it predicts."""
        return self.average.module if self.average is not None and self.average.has_averaged else None

    @property
    def predictor(self) -> nn.Module:
        """The network whose predictions count: the averaged one where there is one."""
        return self.average_network or self.network

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.network.parameters()).device


def learner(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    precision: Precision,
    ema_decay: float = 0.0,
    swa_start: float | None = None,
    ranks: Ranks = ALONE,
) -> Learner:
    """A learner before its first step; where `swa_start` is given, the equal average takes the moving one's place."""
    device = next(network.parameters()).device.type
    scaler = torch.amp.GradScaler(device, enabled=precision.train == "float16")
    _start_momentum(optimizer)
    peaks = [group["lr"] for group in optimizer.param_groups]
    made = Learner(network, optimizer, None, scaler, peaks, ranks=ranks)
    # an average keeps references to the network's tensors, which a learner moves into one
    if swa_start is not None:
        made.average = Swa(network, swa_start)
    elif ema_decay:
        made.average = Ema(network, ema_decay)
    return made


def _start_momentum(optimizer: torch.optim.Optimizer) -> None:
    """Sets the momentum of torch's fused SGD to zeros, from which the first step gives the same weights.

    torch allocates it uninitialised in the first step. If that step overflows in float16, its kernel leaves the
    momentum as it is, and the next step adds it to the weights.
    """
    if not isinstance(optimizer, torch.optim.SGD):
        return
    for group in optimizer.param_groups:
        # with dampening the first step would differ: torch dampens all steps but the first
        if group.get("fused") and group["momentum"] and not group["dampening"]:
            for weight in group["params"]:
                optimizer.state[weight].setdefault("momentum_buffer", torch.zeros_like(weight))


BUCKET = 25 * 2**20  # bytes of gradients that travel together, DistributedDataParallel's own number


class _Bucket:
    """Weights whose gradients travel together, and the float32 tensor that they travel in, which stays."""

    def __init__(self, weights: Sequence[nn.Parameter], ranks: Ranks) -> None:
        self.weights, self.ranks = weights, ranks
        self.flat = torch.zeros(sum(weight.numel() for weight in weights), device=weights[0].device)
        parts = self.flat.split([weight.numel() for weight in weights])
        self.parts = [part.view(weight.shape) for part, weight in zip(parts, weights, strict=True)]
        self.owed = len(weights)  # gradients that this pass has not given yet
        self.sent: AsyncAllReduce | None = None

    @torch.no_grad()
    def send(self, empty: bool = False) -> None:
        """Sends what there is; zeros for gradients that there are not."""
        if empty or self.owed:
            self.flat.zero_()
        parts, found = self._pairs()
        if found and not empty:
            copy_all(parts, found)
        self.sent = AsyncAllReduce(self.ranks, self.flat)

    @torch.no_grad()
    def wait(self, keep: bool) -> None:
        """Waits for the sum and, if it is to be kept, puts it in the gradients' place."""
        assert self.sent is not None
        self.sent.wait()
        parts, found = self._pairs()
        if found and keep:
            copy_all(found, parts)
        self.sent, self.owed = None, len(self.weights)

    def _pairs(self) -> tuple[list[Tensor], list[Tensor]]:
        """The gradients that there are, and their places in what travels."""
        pairs = zip(self.parts, self.weights, strict=True)
        here = [(part, weight.grad) for part, weight in pairs if weight.grad is not None]
        return [part for part, _ in here], [gradient for _, gradient in here]


class Gradients:
    """The gradients of a network's weights that learn, the last layers' first, as a backward pass gives them."""

    def __init__(self, network: nn.Module, ranks: Ranks) -> None:
        self.weights = trainable_parameters(network)
        self._buckets = [_Bucket(weights, ranks) for weights in _cut(self.weights)]
        self._of = {id(weight): bucket for bucket in self._buckets for weight in bucket.weights}
        self._hooks = [
            weight.register_post_accumulate_grad_hook(self._on_gradient) for weight in self.weights
        ]
        self._next = 0  # the first bucket that is not sent
        self._is_last = False

    def expect_last_pass(self) -> None:
        """Says that the pass that follows is the step's last: what it gives is whole, and may be sent."""
        self._is_last = True

    def _on_gradient(self, weight: Tensor) -> None:
        if self._is_last:
            self._of[id(weight)].owed -= 1
            while self._next < len(self._buckets) and not self._buckets[self._next].owed:
                self._send()

    def _send(self, empty: bool = False) -> None:
        self._next += 1
        self._buckets[self._next - 1].send(empty)

    def complete(self, failed: bool) -> None:
        """Sends what is left, which of a pass that failed are zeros: the others wait for as many messages from all."""
        while self._next < len(self._buckets):
            self._send(empty=failed)
        self._is_last = False

    def wait(self, keep: bool) -> None:
        """Waits for all sums and, if no rank has failed, puts them in the gradients' place."""
        for bucket in self._buckets:
            bucket.wait(keep)
        self._next = 0

    def close(self) -> None:
        """Looks at the weights no more."""
        for hook in self._hooks:
            hook.remove()


def trainable_parameters(network: nn.Module) -> list[nn.Parameter]:
    """The weights that learn, the last ones first."""
    return [weight for weight in reversed(list(network.parameters())) if weight.requires_grad]


def gradients_of(network: nn.Module, before: Gradients | None, ranks: Ranks) -> Gradients | None:
    """What adds up a network's gradients: the one before, while the same weights learn. Alone, nothing."""
    if ranks.count == 1:
        return None
    wanted = trainable_parameters(network)
    if before is not None:
        if list(map(id, before.weights)) == list(map(id, wanted)):
            return before
        before.close()
    return Gradients(network, ranks)


def _cut(weights: Sequence[nn.Parameter]) -> list[list[nn.Parameter]]:
    """The weights in order, in lists of BUCKET bytes or of one weight."""
    lists: list[list[nn.Parameter]] = [[]]
    held = 0
    for weight in weights:
        if lists[-1] and held + 4 * weight.numel() > BUCKET:
            lists.append([])
            held = 0
        lists[-1].append(weight)
        held += 4 * weight.numel()
    return [each for each in lists if each]
