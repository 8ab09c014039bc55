"""One optimizer step: mixes a batch, runs it in micro-batches, and updates the weights, or leaves them as they are.

If memory runs out, the step starts again in smaller micro-batches. If a loss or a gradient is not finite, the
weights stay as they are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar, cast

import numpy as np
import torch
from torch import Tensor, nn

from kit.core import randomness
from kit.device import memory
from kit.device.compiling import compiled_input
from kit.device.precision import Precision
from kit.device.ranks import Ranks
from kit.device.torch_internals import AnyBatchNorm, all_finite, is_compiled, overflow_flags
from kit.engine.gradient_exchange import exchange_for
from kit.engine.learner import Learner
from kit.engine.out_of_memory import OutOfMemory, advise_less_memory, describe_oom, sync_batch_norm_oom
from kit.errors import ConfigError, RunError
from kit.kinds import Loss

if TYPE_CHECKING:
    from kit.engine.batches import Batch

T = TypeVar("T")
BATCH = "batch"  # the part of a step that copies and mixes images
Shares = list[tuple[float, Tensor]]  # the weight of each set of labels
Mixed = tuple[Tensor, Shares, Tensor | None]  # images, labels, side values


@dataclass(frozen=True)
class StepPlan:
    """The numbers of a fit that all its stages share."""

    seed: int
    fold: int
    micro_batch_size: int | None = None
    clip_grad_norm: float | None = None
    skips: int = 5  # consecutive steps whose loss or gradients are not finite, before the fit gives up


@dataclass(frozen=True)
class SkippedStep:
    """A step whose loss or gradients were not finite. It did not change the weights."""

    epoch: int
    step: int
    lr: float
    loss: float
    rows: Tensor
    in_a_row: int

    def __str__(self) -> str:
        loss = f"the loss is {self.loss:.4g}"
        what = f"{loss}, a gradient is not finite" if math.isfinite(self.loss) else loss
        return f"{what} in epoch {self.epoch + 1}, step {self.step + 1}, at lr {self.lr:.3g}"


Update = Generator[OutOfMemory, None, T]


class OptimizerShortError(RunError):
    """Memory ran out during the optimizer's update: the weights are invalid, but the last checkpoint is
    intact."""


def optimizer_step(
    learner: Learner, loss: Loss, batch: Batch, plan: StepPlan, precision: Precision, progress: float
) -> Update[tuple[Tensor, Tensor]]:
    """Runs one optimizer step over an effective batch.

    Returns its mean loss and whether it was finite, on the device.

    Mixing is drawn once for the whole batch, which then runs in micro-batches whose gradients are summed. If
    memory runs out, batch norm's buffers are restored, and the step starts again with half the images at a
    time and the same draws. If it runs out while the batch is copied or mixed, that is done in the machine's
    memory from then on. Several ranks do so together, and sum their results once all of them have succeeded.
    Raises RunError R02 if one image does not fit, or the loss cannot be split.
    """
    learner.saved_buffers.save()
    if learner.ranks.count > 1:
        learner.exchange = exchange_for(learner.network, learner.exchange, learner.ranks)
    mixed: Mixed | None = None
    count = len(batch.step_rows)
    # the largest number of rows of any rank in the step, because all ranks make the same number of parts
    most = max(len(batch), -(-count // learner.ranks.count))
    while True:
        size = _micro_batch_size(learner, loss, plan, most)
        short, value = None, torch.zeros((), device=learner.device)
        try:
            if mixed is None:
                mixed = _apply_mixing(learner, loss, batch, plan, precision, progress)
            # all uses of torch's generator draw the same, however often the step starts
            _seed(learner, plan)
            parts = -(-most // size)
            if (perturb := getattr(learner.optimizer, "perturb", None)) is None:
                value = _gradients(learner, loss, mixed, parts, count, precision)
            else:
                value = _gradients(learner, loss, mixed, parts, count, precision, is_last=False)
                with _perturbed(learner.network, perturb):
                    _seed(learner, plan)
                    _gradients(learner, loss, mixed, parts, count, precision)
        except Exception as error:
            if not memory.is_out_of_memory(error):
                raise
            short = describe_oom(learner, count, size)
            if learner.phase == BATCH:
                learner.mixes_on_host = True
            if any(isinstance(module, nn.SyncBatchNorm) for module in learner.network.modules()):
                raise sync_batch_norm_oom(short) from error
        if _all_ranks_succeeded(learner, short is None, value):
            break
        yield _halve_micro_batch(
            learner, short, loss
        )  # out of the except block, which holds the failed step's tensors
    finite = _apply_gradients(learner, plan.clip_grad_norm, value)
    learner.phase = ""
    return value, finite


def _seed(learner: Learner, plan: StepPlan) -> None:
    """Seeds the generators that a step draws from. torch.manual_seed would record a stack of calls for all
    other devices.
    """
    number = randomness.number(plan.seed, "step", plan.fold, learner.step, *_rank_salt(learner.ranks))
    torch.default_generator.manual_seed(number)
    if learner.device.type == "cuda":
        index = learner.device.index
        torch.cuda.default_generators[torch.cuda.current_device() if index is None else index].manual_seed(
            number
        )
    elif learner.device.type != "cpu":
        torch.manual_seed(number)


def _rank_salt(ranks: Ranks) -> tuple[int, ...]:
    """Returns the key of a rank's own draws. The first rank's are those of a single process."""
    return () if ranks.is_zero else (ranks.rank,)


def _apply_mixing(
    learner: Learner, loss: Loss, batch: Batch, plan: StepPlan, precision: Precision, progress: float
) -> Mixed:
    """Returns the whole batch, on the device, or in the machine's memory after the device's was too small."""
    learner.phase = BATCH
    device = torch.device("cpu") if learner.mixes_on_host else learner.device
    _seed(learner, plan)
    draws = randomness.generator(plan.seed, "mix", plan.fold, learner.step, *_rank_salt(learner.ranks))
    images = precision.to_layout(batch.images, device)
    labels = batch.labels.to(device, non_blocking=True)
    if batch.side is None:
        return (*loss.mix(images, labels, draws, progress), None)
    return mix_with_side(loss, images, labels, batch.side.to(device, non_blocking=True), draws, progress)


def mix_with_side(
    loss: Loss, images: Tensor, labels: Tensor, side: Tensor, draws: np.random.Generator, progress: float
) -> Mixed:
    """Mixes images, labels and side values (N, W) with the same rows and shares.

    The loss receives positions instead of labels, so that its result shows which rows it mixed. Raises
    ConfigError C87 for a loss that makes other labels.
    """
    positions = torch.arange(len(images), device=labels.device)
    mixed, shares = loss.mix(images, positions, draws, progress)
    if any(rows.dtype != torch.int64 or rows.shape != positions.shape for _, rows in shares):
        raise ConfigError(
            f"loss {loss.plugin_name()!r} mixes labels in a way that side columns cannot follow",
            code="C87",
            hint="its mix must return labels in another order, as mixup does; or columns=null",
        )
    values = side if len(shares) == 1 else torch.stack([share * side[rows] for share, rows in shares]).sum(0)
    return mixed, [(share, labels[rows]) for share, rows in shares], values


def _micro_batch_size(learner: Learner, loss: Loss, plan: StepPlan, count: int) -> int:
    """Returns the number of images at a time: the config's value, or less if memory ran out before."""
    if not loss.is_splittable():
        return count
    return min(count, plan.micro_batch_size or count, learner.micro_batch_size or count)


@contextmanager
def _perturbed(network: nn.Module, perturb: Callable[[], Callable[[], None]]) -> Iterator[None]:
    """Opens a block for a step's second pass: weights are moved and then put back, and batch norm's statistics stay."""
    norms = [
        module
        for module in network.modules()
        if isinstance(module, AnyBatchNorm) and module.training and module.track_running_stats
    ]
    put_back = perturb()
    try:
        for norm in norms:
            norm.track_running_stats = False
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True
        put_back()


def _gradients(
    learner: Learner,
    loss: Loss,
    mixed: Mixed,
    parts: int,
    count: int,
    precision: Precision,
    is_last: bool = True,
) -> Tensor:
    """Sums the gradients of micro-batches, from zero. Returns their part of the mean loss of `count` rows.

    Gradients are exchanged with other ranks in a step's last pass.
    """
    images, shares, side = mixed
    learner.optimizer.zero_grad(set_to_none=True)
    value = torch.zeros((), device=learner.device)
    pieces = [part for part in np.array_split(np.arange(len(images)), parts) if len(part)]
    for number, part in enumerate(pieces):
        rows = slice(part[0], part[-1] + 1)
        learner.phase = "forward"
        on_device = precision.to_layout(
            images[rows], learner.device
        )  # does nothing if they are there already
        given = outputs(
            learner.network, on_device, precision, learner.device, None if side is None else side[rows]
        )
        labelled = [(share, labels[rows].to(learner.device, non_blocking=True)) for share, labels in shares]
        summed = _sum_loss(loss, given.float(), labelled)
        learner.phase = "backward"
        if is_last and learner.exchange is not None and number == len(pieces) - 1:
            learner.exchange.expect_last_pass()
        # blocks that are computed again would move batch norm's statistics a second time
        recomputes = getattr(learner.network, "recomputes", False)
        with learner.saved_buffers.unchanged() if recomputes else nullcontext():
            learner.scaler.scale(summed / count).backward()
        value += summed.detach() / count
    return value


def _all_ranks_succeeded(learner: Learner, succeeded: bool, value: Tensor) -> bool:
    """Whether no rank has failed. Gradients and loss are then the sums of all ranks', and buffers their mean."""
    if learner.exchange is None:
        return succeeded
    learner.exchange.complete(failed=not succeeded)
    all_succeeded = learner.ranks.all_reduce_if(succeeded, [value], learner.saved_buffers.floating)
    learner.exchange.wait(keep=all_succeeded)
    return all_succeeded


def outputs(
    network: nn.Module,
    images: Tensor,
    precision: Precision,
    device: torch.device,
    side: Tensor | None = None,
) -> Tensor:
    """Returns the network's outputs for training. Raises RunError R04 if batch norm has only one value."""
    try:
        with precision.autocast_training(device):
            network_input = compiled_input(images) if is_compiled(network) else images
            return cast(
                Tensor, network(network_input) if side is None else network(network_input, side.to(device))
            )
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise RunError(
            f"batch norm cannot train on {len(images)} image at a time, because it has one value per channel",
            code="R04",
            hint="use a larger batch_size, micro_batch_size or image_size",
        ) from error


def _sum_loss(loss: Loss, outputs: Tensor, shares: Shares) -> Tensor:
    """Returns the sum over rows and label sets of share * loss."""
    parts = [share * loss.rows(outputs, labels).sum() for share, labels in shares]
    return torch.stack(parts).sum()


def _halve_micro_batch(learner: Learner, short: OutOfMemory | None, loss: Loss) -> OutOfMemory:
    """Frees the failed step and makes the next ones smaller, on all ranks.

    Raises RunError R02 if they cannot be smaller.
    """
    learner.saved_buffers.restore()
    learner.optimizer.zero_grad(set_to_none=True)
    memory.empty_cache(learner.device)
    least = min(
        (failure for failure in learner.ranks.all_gather(short) if failure is not None),
        key=lambda failure: failure.tried,
    )
    if least.tried > 1 and loss.is_splittable():
        learner.micro_batch_size = least.smaller
        return least
    why = (
        "one image at a time"
        if least.tried == 1
        else (f"{least.tried} images, which the loss compares with each other")
    )
    raise learner.ranks.raise_everywhere(
        RunError(
            f"out of memory ({least.place()}) with {why}: {memory.describe_parts(least.parts)}; {least.device_memory}",
            code="R02",
            hint=advise_less_memory(learner.network, "image_size, network or batch_size"),
        )
    )


def _waits(learner: Learner) -> bool:
    """Whether a step waits for its results before the weights are updated: always on a CPU, because that costs nothing.

    On CUDA torch's fused optimizers skip a step themselves, because of gradient scaling: values that are not
    finite set found_inf. On MPS the fused Adam ignores found_inf.
    """
    fused = all(group.get("fused") for group in learner.optimizer.param_groups)
    return learner.device.type != "cuda" or not fused


def _move(learner: Learner) -> None:
    """Updates the weights, then their average."""
    learner.scaler.step(learner.optimizer)
    if learner.scaler.is_enabled():  # the scaler does not report how often it skipped a step
        flags = overflow_flags(learner.scaler, learner.optimizer)
        learner.overflows = learner.overflows + sum(value.to(learner.device) for value in flags)
    learner.scaler.update()
    if learner.average is not None:
        learner.average.after_step(learner.step + 1)


def _all_finite(learner: Learner, gradients: Sequence[Tensor]) -> Tensor:
    """Returns whether all gradients are finite, on the device."""
    if learner.device.type == "cpu" and _waits(learner):
        # a sum is finite if all values are, and takes half the time of a norm
        return torch.isfinite(torch.stack([gradient.sum() for gradient in gradients]).sum())
    return all_finite(gradients, learner.device)


def _apply_gradients(learner: Learner, clip: float | None, value: Tensor) -> Tensor:
    """Updates the weights and their average if all values are finite. Returns whether they were, on the device."""
    scaler, weights = learner.scaler, [w for w in learner.network.parameters() if w.grad is not None]
    if clip is not None or not scaler.is_enabled():
        scaler.unscale_(learner.optimizer)
        gradients = [cast(Tensor, weight.grad) for weight in weights]
        if clip is None:
            whole = _all_finite(learner, gradients)
        else:
            size = nn.utils.get_total_norm(gradients)
            nn.utils.clip_grads_with_norm_(weights, clip, size)
            whole = torch.isfinite(size)
    # with a scaler an overflow is not a fault: it skips the step and continues at a lower scale
    finite = torch.isfinite(value) if scaler.is_enabled() else torch.isfinite(value) & whole
    if not _waits(learner):
        learner.saved_buffers.restore(~finite)
        learner.optimizer.found_inf = (~finite).float()  # type: ignore[attr-defined]
    elif not finite:
        learner.saved_buffers.restore()
        learner.optimizer.zero_grad(set_to_none=True)
        if clip is not None:
            scaler.update()  # the gradients are unscaled: without it the next step's unscale_ raises
        return finite
    learner.phase = "optimizer"
    try:
        _move(learner)
    except Exception as error:
        if not memory.is_out_of_memory(error):
            raise
        raise OptimizerShortError(
            f"out of memory (optimizer, epoch {learner.epoch + 1}, step {learner.step + 1}): "
            f"{memory.describe_parts(memory.learner_bytes(learner))}; {memory.device_memory(learner.device)}",
            code="R02",
            hint="use a smaller network, or an optimizer with less state, such as sgd",
        ) from error
    return finite
