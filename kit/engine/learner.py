"""Learner: the state that training changes, and that an identical continuation needs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from kit.device.precision import Precision
from kit.device.ranks import ALONE, Ranks
from kit.engine.gradient_exchange import GradientExchange
from kit.model.weight_averaging import Ema, OptimizerAverage, Swa, WeightAverage


def float_tensors(tensors: Iterable[Tensor]) -> list[Tensor]:
    """Returns the float tensors, such as batch norm's statistics, without its count of batches."""
    return [tensor for tensor in tensors if tensor.is_floating_point()]


class Buffers:
    """A network's buffers before a step, because a forward pass changes batch norm's, even if it fails.

    Batch norm's statistics and counters become views of one tensor for each dtype. On a GPU each copy is a
    kernel launch: resnet50 has 161 buffers, which are saved and restored in every step.
    """

    def __init__(self, network: nn.Module) -> None:
        buffers = list(network.buffers())
        # other buffers, such as tables of positions, may have their own memory layout
        small = [buffer for buffer in buffers if buffer.dim() <= 1 and buffer.is_contiguous()]
        by_dtype: dict[torch.dtype, list[Tensor]] = {}
        for buffer in small:
            by_dtype.setdefault(buffer.dtype, []).append(buffer)
        self._live = [_in_one(those) for those in by_dtype.values()]
        self._live += [buffer for buffer in buffers if all(buffer is not other for other in small)]
        self.floating = float_tensors(self._live)  # their present values, not the earlier ones
        self._kept = [buffer.clone() for buffer in self._live]

    @torch.no_grad()
    def save(self) -> None:
        """Saves the buffers."""
        for saved, live in zip(self._kept, self._live, strict=True):
            saved.copy_(live)

    @torch.no_grad()
    def restore(self, where: Tensor | None = None) -> None:
        """Restores the buffers. With `where`, a bool on the device, only if it is true, without waiting for it."""
        for live, saved in zip(self._live, self._kept, strict=True):
            live.copy_(saved if where is None else torch.where(where, saved, live))

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        """Opens a block after which the buffers are as before it, for a backward pass that computes blocks again."""
        before = [live.clone() for live in self._live]
        yield
        with torch.no_grad():
            for live, value in zip(self._live, before, strict=True):
                live.copy_(value)


@torch.no_grad()
def _in_one(buffers: Sequence[Tensor]) -> Tensor:
    """Makes buffers of one dtype views of one tensor, each at a multiple of 64 bytes. Returns that tensor."""
    step = 64 // buffers[0].element_size()
    places = [-(-buffer.numel() // step) * step for buffer in buffers]
    whole = torch.zeros(sum(places), dtype=buffers[0].dtype, device=buffers[0].device)
    for buffer, part in zip(buffers, whole.split(places), strict=True):
        view = part[: buffer.numel()].view(buffer.shape)
        view.copy_(buffer)
        buffer.data = view
    return whole


@dataclass
class Learner:
    """The weights, their average, the optimizer, and the number of finished steps."""

    network: nn.Module
    optimizer: torch.optim.Optimizer
    average: WeightAverage | None
    scaler: torch.amp.GradScaler
    peaks: list[float] = field(default_factory=list)
    step: int = 0
    epoch: int = 0
    # of the current epoch: steps done; the sum of rows' losses and the number of rows, (2,), on the device
    steps_in_epoch: int = 0
    loss_sum: Tensor | None = None
    micro_batch_size: int | None = None  # images at a time, once memory ran out with more
    mixes_on_host: bool = False  # once the device's memory was too small for a whole batch
    skipped: int = 0  # consecutive skipped steps
    # of the current epoch: skipped steps, and those that float16's scaler skipped, on the device
    skipped_in_epoch: int = 0
    overflows: Tensor | int = 0
    phase: str = ""  # the current part of a step
    exchange: GradientExchange | None = None  # sums gradients if several ranks train
    ranks: Ranks = ALONE  # the processes that train this learner together

    def __post_init__(self) -> None:
        self.saved_buffers = Buffers(self.network)

    def weights(self) -> dict[str, Tensor]:
        """Returns the weights for a checkpoint, by name; adapted weights by their values."""
        return _plain_weights(self.network)

    def average_weights(self) -> dict[str, Tensor] | None:
        """Returns the averaged weights in the same form, once they exist."""
        return None if self.average_network is None else _plain_weights(self.average_network)

    def state(self) -> dict[str, Any]:
        """Returns everything except the weights that an identical continuation needs."""
        return {
            **({"adapters": self._adapters()} if _has_adapter(self.network) else {}),
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
        """Loads a state by `state`, with the weights and their average, if that is ready."""
        if adapters := state.get("adapters"):
            weights = _pick(self.network, weights, adapters["network"])
            if average is not None:
                average = _pick(self.network, average, adapters["network"], adapters["average"])
        self.network.load_state_dict(weights)
        if self.average is not None and average is not None:
            self.average.load(state["average"], average)
        self.optimizer.load_state_dict(state["optimizer"])
        if state["scaler"]:  # empty if the same run trains in another dtype than float16 on this device
            self.scaler.load_state_dict(state["scaler"])
        self.peaks, self.step, self.epoch = state["peaks"], state["step"], state["epoch"]
        self.steps_in_epoch = state["begun"]
        self.loss_sum = None if state["summed"] is None else state["summed"].to(self.device)
        self.micro_batch_size, self.skipped = state["micro_batch_size"], state["skipped"]
        self.skipped_in_epoch, self.overflows = state["left_out"], state["overflows"]

    def load_plain(self, weights: dict[str, Tensor], average: dict[str, Tensor]) -> None:
        """Loads a checkpoint's weights, and the averaged weights that predict.

        Adapters start from their initial values.
        """
        _load_plain(self.network, weights)
        if self.average is not None:
            _load_plain(self.average.module, average)

    def _adapters(self) -> dict[str, dict[str, Tensor]]:
        """Returns the tensors that plain weights lack; for the average only those that differ, which
        originals seldom do.
        """
        from kit.model.adapters import adapter_weights

        own, average = adapter_weights(self.network), self.average_network
        averaged = {} if average is None else adapter_weights(average)
        differing = {key: value for key, value in averaged.items() if not torch.equal(value, own[key])}
        return {"network": own, "average": differing}

    def disable_foreach(self) -> None:
        """Makes the optimizer update one tensor at a time, which needs less additional memory than all at once."""
        for group in self.optimizer.param_groups:
            if "foreach" in group and not group.get("fused"):
                group["foreach"] = False

    @property
    def average_network(self) -> nn.Module | None:
        """The averaged network, once it predicts."""
        return self.average.module if self.average is not None and self.average.has_averaged else None

    @property
    def predictor(self) -> nn.Module:
        """The network that predicts: the averaged one if it exists."""
        return self.average_network or self.network

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return next(self.network.parameters()).device


def _has_adapter(network: nn.Module) -> bool:
    return bool(getattr(network, "fixed", ()))


def _plain_weights(network: nn.Module) -> dict[str, Tensor]:
    if not _has_adapter(network):
        return network.state_dict()
    from kit.model.adapters import plain_weights

    return plain_weights(network)


def _load_plain(network: nn.Module, weights: dict[str, Tensor]) -> None:
    if not _has_adapter(network):
        network.load_state_dict(weights)
        return
    from kit.model.adapters import load_plain

    load_plain(network, weights)


def _pick(network: nn.Module, *sources: dict[str, Tensor]) -> dict[str, Tensor]:
    """Returns the network's tensors by name, each from the last source that has it."""
    merged = {key: value for source in sources for key, value in source.items()}
    return {key: merged[key] for key in network.state_dict()}


def learner(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    precision: Precision,
    ema_decay: float = 0.0,
    swa_start: float | None = None,
    ranks: Ranks = ALONE,
) -> Learner:
    """Returns a learner before its first step.

    If the optimizer has its own average, it replaces both others. The equal average replaces the moving one.
    """
    device = next(network.parameters()).device.type
    scaler = torch.amp.GradScaler(device, enabled=precision.train == "float16")
    _start_momentum(optimizer)
    peaks = [group["lr"] for group in optimizer.param_groups]
    new_learner = Learner(network, optimizer, None, scaler, peaks, ranks=ranks)
    # an average keeps references to the network's tensors, which a learner moves into one
    if (write_average := getattr(optimizer, "write_average", None)) is not None:
        new_learner.average = OptimizerAverage(network, write_average)
    elif swa_start is not None:
        new_learner.average = Swa(network, swa_start)
    elif ema_decay:
        new_learner.average = Ema(network, ema_decay)
    return new_learner


def _start_momentum(optimizer: torch.optim.Optimizer) -> None:
    """Sets the momentum of torch's fused SGD to zeros, from which the first step gives the same weights.

    torch allocates it uninitialised in the first step. If that step overflows in float16, its kernel leaves
    the momentum uninitialised, and the next step adds it to the weights.
    """
    if not isinstance(optimizer, torch.optim.SGD):
        return
    for group in optimizer.param_groups:
        # with dampening the first step would differ: torch dampens all steps except the first
        if group.get("fused") and group["momentum"] and not group["dampening"]:
            for weight in group["params"]:
                optimizer.state[weight].setdefault("momentum_buffer", torch.zeros_like(weight))
