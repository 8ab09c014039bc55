"""Sizes: the memory of a run's step, the largest batch that fits, and the disk space of a run's files."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from kit.config.models import Experiment
from kit.config.workspace import Workspace
from kit.core.files import StrPath, format_bytes, free_space, same_disk
from kit.core.progress import Progress, Work, stage
from kit.data.table import Table, train_table
from kit.device import memory
from kit.device.precision import Precision, choose_device, resolve_auto
from kit.engine.batches import random_batch
from kit.engine.gradient_exchange import trainable_parameters
from kit.engine.learner import Learner
from kit.engine.memory_footprint import Footprint, footprint
from kit.engine.out_of_memory import advise_less_memory
from kit.engine.step import StepPlan, optimizer_step
from kit.errors import ConfigError, KitWarning, RunError
from kit.evaluation.competition import metric_of
from kit.experiment.techniques import OpenPlugins, build_learner, open_techniques
from kit.images.cache import Geometry, bytes_to_cache
from kit.kinds import Optimizer
from kit.model import network
from kit.model.checkpoints import CHECKPOINTS_PER_FOLD, checkpoint_numbers, size
from kit.runs.run import Run

USABLE_MEMORY_SHARE = 0.9  # share of the free memory for a step, because allocators leave gaps
LR_REFERENCE_BATCH = 32  # rows of a batch for which optimizer.lr is meant, if batch_size is "auto"
MIN_STEPS_PER_EPOCH = 16  # minimum steps of an epoch, however much memory there is
ROOMY = 4  # times a square of the cache's size: with this much room on a disk images are not counted
NCCL_BYTES = 512 * 2**20  # of each GPU, estimated for NCCL's channels; not measured
SAFE_FACTOR = 4  # times the simple estimate that must be free for a run to start without a measurement


@dataclass(frozen=True, eq=False)
class StepMemory:
    """The memory of a run's step.

    `scratch` are bytes that a real step took in addition to its tensors, at `images` at a time.
    """

    footprint: Footprint
    images: int
    scratch: int
    measured: int | None  # the real peak, if the device reports it
    device_memory: memory.DeviceMemory  # in addition to `held`
    held: int
    exchange: int = 0  # bytes for the exchange of gradients between ranks
    failed: str = ""  # why a real step of `images` failed; empty if it did not, or if none was tried
    hint: str = ""  # settings that need less memory

    def peak(self, images: int) -> int:
        """Returns the bytes of a step with this many images at a time, including workspaces of kernels."""
        return self.footprint.peak(images) + self._scratch(images) + self.exchange

    def _scratch(self, images: int) -> int:
        """Returns the memory of kernels in addition to tensors, which grows about as the square root of the
        batch (measured).
        """
        return round(self.scratch * math.sqrt(images / self.images))

    def parts(self, images: int) -> dict[str, int]:
        """Returns the same by part."""
        parts = self.footprint.parts(images)
        workspace = parts["workspace"] + self._scratch(images)
        return {**parts, "gradients": parts["gradients"] + self.exchange, "workspace": workspace}

    def fits(self, images: int) -> bool:
        """Whether this many images at a time leave a margin, and are fewer than in a real step that failed."""
        if self.failed and images >= self.images:
            return False
        return self.peak(images) - self.held <= USABLE_MEMORY_SHARE * self.device_memory.free

    def largest(self) -> int:
        """Returns the largest number of images at a time that fits, 0 if not even one does."""
        low, high = 0, 2**20
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self.fits(middle) else (low, middle - 1)
        return low


def measure_step(
    techniques: OpenPlugins,
    experiment: Experiment,
    table: Table,
    precision: Precision,
    device: torch.device,
    images: int,
    ranks: int = 1,
) -> StepMemory:
    """Measures the stage with the largest images: two recorded steps, and a real one of `images`, if that fits.

    Each of several ranks measures by itself. The exchange of gradients is not measured but estimated.
    """
    stage = max(techniques.stages, key=lambda stage: stage.experiment.image_size)
    size = stage.experiment.image_size
    learner = build_learner(techniques, experiment, len(table.classes), precision, device)
    plan = StepPlan(experiment.seed, 0, clip_grad_norm=experiment.clip_grad_norm)
    channels = experiment.channels * _images_per_row(techniques, table)
    memory_footprint = footprint(learner, stage.loss, random_batch(table, 4, size, channels), plan, precision)
    learner.optimizer.zero_grad(set_to_none=True)
    memory.empty_cache(device)
    learner_bytes, device_memory = sum(memory.learner_bytes(learner).values()), memory.device_memory(device)
    exchange = 0 if ranks == 1 else _exchange_bytes(learner)
    hint = advise_less_memory(learner.network, "image_size or network")
    step_memory = StepMemory(
        memory_footprint, images, 0, None, device_memory, learner_bytes, exchange, hint=hint
    )
    if step_memory.peak(images) - learner_bytes > device_memory.free / 2:
        return step_memory
    batch = random_batch(table, images, size, channels).pin_for(device)

    failed: list[str] = []

    def step() -> None:
        with _note_oom(failed):
            # if memory runs out the step continues with fewer images, and first reports it
            for event in optimizer_step(learner, stage.loss, batch, plan, precision, 0.0):
                failed.append(str(event).partition("; continuing")[0])

    step()  # kernels are chosen, and some are compiled, at the first step of a size
    learner.optimizer.zero_grad(set_to_none=True)
    more = None if failed else memory.peak_during(device, step)
    if failed:
        return replace(step_memory, failed=failed[0])
    if more is None:
        return step_memory
    return replace(
        step_memory,
        scratch=max(0, learner_bytes + more - memory_footprint.peak(images)),
        measured=learner_bytes + more,
    )


def _images_per_row(techniques: OpenPlugins, table: Table) -> int:
    """The images of a row of a batch: one, or those of a large bag."""
    instances = techniques.parts.instances
    if instances is None:
        return 1
    from kit.experiment.bags import images_per_row

    return images_per_row(instances, table)


def _exchange_bytes(learner: Learner) -> int:
    """Returns the bytes of the gradient buckets, float32, and on GPUs NCCL's memory."""
    weights = sum(weight.numel() for weight in trainable_parameters(learner.network))
    return 4 * weights + (NCCL_BYTES if learner.device.type == "cuda" else 0)


@contextmanager
def _note_oom(failed: list[str]) -> Iterator[None]:
    """Opens a block whose RunError R02 is recorded instead of raised."""
    try:
        yield
    except RunError as error:
        if error.code != "R02":
            raise
        failed.append(error.summary)


def largest_batch(
    techniques: OpenPlugins,
    experiment: Experiment,
    table: Table,
    precision: Precision,
    device: torch.device,
    rows: int,
    ranks: int = 1,
) -> int:
    """Returns the rows of a batch if batch_size is "auto": the most that fit, a multiple of 8, at least STEPS
    per epoch.

    Raises RunError R02 if not even one image fits.
    """
    most = max(1, rows // MIN_STEPS_PER_EPOCH)
    images = min(most, LR_REFERENCE_BATCH)
    step_memory = measure_step(techniques, experiment, table, precision, device, images, ranks)
    fitting = step_memory.largest()
    if not fitting:
        raise _none_fits(step_memory)
    count = min(fitting, most)
    return count - count % 8 or count


def scale_lr(optimizer: Optimizer, batch_size: int, reference: int = LR_REFERENCE_BATCH) -> Optimizer:
    """Returns an optimizer with `lr`, meant for batches of `reference` rows, scaled to another batch size.

    The factor is the square root of the ratio for Adam and related optimizers, and the ratio for SGD. Raises
    ConfigError C26 if the optimizer has no option `lr`.

    Source: Malladi et al. 2022, "On the SDEs and Scaling Rules for Adaptive Gradient Algorithms"; Goyal et al. 2017,
    "Accurate, Large Minibatch SGD", section 2.1.
    """
    lr = getattr(optimizer, "lr", None)
    if not isinstance(lr, float):
        raise ConfigError(
            f'batch_size "auto" scales the learning rate, but optimizer {optimizer.plugin_name()!r} '
            "has no lr",
            code="C26",
            hint="set batch_size to a number",
        )
    ratio = batch_size / reference
    moved = nn.Parameter(torch.zeros(1))
    linear = isinstance(optimizer.build([("weight", moved)]), torch.optim.SGD)
    return optimizer.model_copy(update={"lr": lr * (ratio if linear else math.sqrt(ratio))})


def limit_micro_batch(
    learner: Learner,
    techniques: OpenPlugins,
    experiment: Experiment,
    table: Table,
    precision: Precision,
    images: int,
) -> str:
    """Makes a learner take fewer images at a time if a step would not fit.

    Returns a line about it, or an empty text.

    A process without memory on a CPU is mostly killed, without an error, so this comes before the first step.
    An estimate from one forward pass comes first, and if it is conclusive nothing is measured. Raises
    RunError R02 if not one image fits.
    """
    device = learner.device
    most = images * _images_per_row(techniques, table)
    if SAFE_FACTOR * _plainest(learner, experiment, most) < memory.device_memory(device).free:
        return ""
    step_memory = measure_step(techniques, experiment, table, precision, device, images, learner.ranks.count)
    if step_memory.fits(images):
        return ""
    fitting = step_memory.largest()
    if not fitting:
        raise _none_fits(step_memory)
    learner.micro_batch_size = min(fitting, learner.micro_batch_size or fitting)
    return (
        f"a step of {images} images needs {memory.format_mebibytes(step_memory.peak(images))}, "
        f"{step_memory.device_memory}: kit uses {learner.micro_batch_size} at a time, the batch stays {images}"
    )


def _none_fits(step_memory: StepMemory) -> RunError:
    return RunError(
        f"one image at a time needs {memory.format_mebibytes(step_memory.peak(1))} "
        f"({memory.describe_parts(step_memory.parts(1))}); {step_memory.device_memory}",
        code="R02",
        hint=step_memory.hint,
    )


@torch.no_grad()
def _plainest(learner: Learner, experiment: Experiment, images: int) -> int:
    """Returns the bytes of every module's output for this many images in float32, and four times the weights."""
    seen = [0]
    leaves = [module for module in learner.network.modules() if not list(module.children())]

    def count(module: nn.Module, given: object, output: object) -> None:
        seen[0] += output.numel() * 4 if isinstance(output, Tensor) else 0

    handles = [module.register_forward_hook(count) for module in leaves]
    size = max(stage.image_size for _, stage in experiment.plan())
    learner.network.eval()
    try:
        learner.network(torch.zeros(1, experiment.channels, size, size, device=learner.device))
    finally:
        learner.network.train()
        for handle in handles:
            handle.remove()
    return seen[0] * images + 4 * memory.learner_bytes(learner)["weights"]


@stage
def measure_config(
    workspace: Workspace | StrPath, images: int | None = None
) -> Work[tuple[StepMemory, Precision, torch.device]]:
    """Measures the experiment's step of `images` at a time, by default the config's number. It reads no image.

    Raises the errors of opening the experiment.
    """
    workspace = Workspace.of(workspace)
    yield Progress("memory", 0, 1)
    experiment, root = workspace.experiment, workspace.root
    device = choose_device(experiment.device)
    table = train_table(root, workspace.competition.data)
    metric = metric_of(workspace, table)
    techniques = open_techniques(workspace, network.classes_from_table(table), metric)
    plain = network.build(techniques.parts.without_pretrained(), len(table.classes), experiment.image_size)
    requested = Precision(experiment.precision, experiment.predict_precision, experiment.memory_format)
    precision = resolve_auto(plain, device, requested, experiment.image_size)
    del plain
    count = images or experiment.micro_batch_rows(LR_REFERENCE_BATCH)
    return measure_step(techniques, experiment, table, precision, device, count), precision, device


OPTIMIZER_TENSORS = 2  # maximum tensors per weight of an unknown optimizer: Adam has two, momentum one


@dataclass(frozen=True)
class DiskNeed:
    """Bytes that a run will write. `checkpoints` is an estimate, and `least` is a lower bound."""

    least: int
    checkpoints: int  # those that all folds keep, and the one that is being written
    predictions: int = 0
    cache: int = 0  # of images that are not cached yet, if the cache is on the run's disk

    @property
    def total(self) -> int:
        """The sum of all parts."""
        return self.checkpoints + self.predictions + self.cache

    @property
    def certain(self) -> int:
        """The lower bound of the sum."""
        return self.least + self.predictions + self.cache

    def __str__(self) -> str:
        parts = [
            f"checkpoints {format_bytes(self.checkpoints)}",
            f"predictions {format_bytes(self.predictions)}",
        ]
        return ", ".join([*parts, f"cache {format_bytes(self.cache)}"] if self.cache else parts)


def estimate_disk(
    run: Run,
    experiment: Experiment,
    network: nn.Module,
    folds: Sequence[int],
    state_tensors: int = 0,
    averages_weights: bool = False,
) -> DiskNeed:
    """Estimates the size of the checkpoints of the unfinished folds, in addition to the existing ones.

    `state_tensors` is the number of the optimizer's tensors per weight, 0 if that is unknown.
    `averages_weights` is true if the optimizer makes the average itself.
    """
    weights = size(network.state_dict())
    averaged = averages_weights or experiment.ema_decay > 0 or experiment.swa_start is not None
    whole = weights * (2 if averaged else 1)
    trained = size(dict(network.named_parameters()))
    open_folds = [fold for fold in folds if not run.fold_predictions_file(fold).is_file()]
    saved = math.ceil(experiment.epochs / experiment.save_every)
    checkpoints_kept = min(CHECKPOINTS_PER_FOLD, saved)
    there = sum(min(checkpoints_kept, len(checkpoint_numbers(run.fold(fold)))) for fold in open_folds)
    coming = max(0, checkpoints_kept * len(open_folds) - there)
    # frozen parts have no state
    sure_state = 0 if any(stage.freeze for stage in experiment.stages) else state_tensors * trained
    least = (whole + sure_state) * (coming + (1 if open_folds and saved > checkpoints_kept else 0))
    coming += 1 if open_folds else 0
    if (experiment.save_every_steps or experiment.save_every_minutes) and open_folds:
        coming += 1
    return DiskNeed(least, (whole + (state_tensors or OPTIMIZER_TENSORS) * trained) * coming)


def check_room(
    workspace: Workspace, run: Run, network: nn.Module, optimizer: Optimizer, folds: int, table: Table
) -> None:
    """Raises RunError R06 if a run or its cache surely does not fit on its disk; warns (W20) if it may not."""
    experiment, cache = workspace.experiment, workspace.cache
    need = estimate_disk(
        run, experiment, network, range(folds), optimizer.state_tensors, optimizer.averages_weights()
    )
    need = replace(need, predictions=2 * 4 * len(table) * len(table.classes))
    have, cache_space, together = free_space(run.folder), free_space(cache), same_disk(run.folder, cache)
    of_images = Geometry.of(experiment)
    if ROOMY * of_images.square_bytes * len(table) + need.total > min(have, cache_space):
        growth = bytes_to_cache(cache, table.paths, of_images, workspace.competition.data, workspace.root)
        if not together and growth > cache_space:
            raise RunError(
                f"the disk is too small for the cache: {cache} needs about {format_bytes(growth)}, and "
                f"{format_bytes(cache_space)} are free",
                code="R06",
                hint="cache_folder=FOLDER on another disk, or a smaller cache_size",
            )
        need = replace(need, cache=growth if together else 0)
    text = (
        f"runs/{run.name} needs about {format_bytes(need.total)} ({need}), and {format_bytes(have)} are free"
    )
    if need.certain > have:
        raise RunError(
            f"the disk is too small for the run: {text}",
            code="R06",
            hint="free some space; or make runs/ a link to another disk; or cache_folder=FOLDER on another disk",
        )
    if need.total > have:
        warnings.warn(KitWarning(f"W20 the disk may be too small for the run: {text}"), stacklevel=3)
