"""speed: measures training and prediction at each dtype and layout of a device, in turns. It changes no setting."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from kit.config.models import Experiment
from kit.config.workspace import Workspace
from kit.core.display import Displayed, frame
from kit.core.files import StrPath
from kit.core.progress import Progress, Work, finish, stage
from kit.data.table import Table, train_table
from kit.device import memory
from kit.device.compiling import compile_training
from kit.device.precision import Precision, choose_device, dtypes, memory_formats, resolve_auto
from kit.engine.batches import Batch, random_batch
from kit.engine.learner import Learner, learner
from kit.engine.step import StepPlan, optimizer_step
from kit.errors import RunError
from kit.kinds import Adapter, Loss, Optimizer
from kit.model import network
from kit.model.network import freeze
from kit.model.predict import Predictor

if TYPE_CHECKING:
    import pandas as pd

WARM_UP_STEPS = 2  # turns that allocate, and are not counted
EQUAL_RATE_FACTOR = 1.05  # times as fast is as fast: two measurements of the same differ by about that
PLAN = StepPlan(0, 0)


@dataclass(frozen=True)
class ComputeSetup:
    """How a network computes. A compiled one is measured only in training."""

    dtype: str
    memory_format: str
    compiled: bool = False


@dataclass(frozen=True)
class Throughput:
    """The images per second of one setup, and the seconds of compiling. `failed` has the error if there are none."""

    way: ComputeSetup
    train: float = 0.0
    predict: float = 0.0
    compiling: float = 0.0
    failed: str = ""


@dataclass(frozen=True, repr=False)
class SpeedResult(Displayed):
    """The rates of all setups, and the one that a run of this config uses (`auto`: by the fixed rule)."""

    network: str
    image_size: int
    batch_size: int
    steps: int
    device: str
    threads: int
    rows: int  # of the training table
    used: Precision
    rates: tuple[Throughput, ...]

    def rate(self, dtype: str, memory_format: str) -> Throughput:
        """Returns the rate of a setup that is not compiled."""
        return next(rate for rate in self.rates if rate.way == ComputeSetup(dtype, memory_format))

    @property
    def trains_fastest(self) -> Throughput:
        """The rate of the setup that trains fastest, without compiled ones."""
        return max(self._plain(), key=lambda rate: rate.train)

    @property
    def predicts_fastest(self) -> Throughput:
        """The rate of the setup that predicts fastest."""
        return max(self._plain(), key=lambda rate: rate.predict)

    def _plain(self) -> list[Throughput]:
        return [rate for rate in self.rates if not rate.way.compiled]

    def advice(self) -> tuple[str, ...]:
        """Returns the overrides that would be faster by more than the noise; empty if none would.

        Training decides on the layout, because it takes most of a run's time.
        """
        best, used = self.trains_fastest, self.rate(self.used.train, self.used.memory_format)
        way = used.way if used.train * EQUAL_RATE_FACTOR >= best.train else best.way
        predicts = max(
            (rate for rate in self._plain() if rate.way.memory_format == way.memory_format),
            key=lambda rate: rate.predict,
        )
        current = self.rate(self.used.predict, way.memory_format)
        predict = current if current.predict * EQUAL_RATE_FACTOR >= predicts.predict else predicts
        pairs = {
            "precision": (self.used.train, way.dtype),
            "predict_precision": (self.used.predict, predict.way.dtype),
            "memory_format": (self.used.memory_format, way.memory_format),
        }
        return tuple(f"{key}={wanted}" for key, (used, wanted) in pairs.items() if wanted != used)

    def break_even(self) -> float | None:
        """Returns the images of training after which compiling has paid for itself, infinite if it never does."""
        compiled = next((rate for rate in self.rates if rate.way.compiled and not rate.failed), None)
        if compiled is None:
            return None
        plain = self.rate(compiled.way.dtype, compiled.way.memory_format)
        gain = 1 / plain.train - 1 / compiled.train
        return compiled.compiling / gain if gain > 0 else float("inf")

    def describe(self) -> str:
        """Returns what was timed, in one line."""
        threads = f"{self.threads} thread{'s' * (self.threads > 1)}"
        of = f"{self.network}, {self.image_size} px, batch {self.batch_size}, {self.device}, {threads}"
        return f"{of}: images/s, median of {self.steps} steps, in turns"

    def describe_advice(self) -> str:
        """Returns whether other settings are faster, in one line."""
        lines = self.advice()
        if not lines:
            return "used: the settings of this config; nothing else is more than 5 % faster"
        return f"used: the settings of this config; faster on this machine: {' '.join(lines)}"

    def describe_break_even(self) -> str:
        """Returns when compiling pays off, in one line; empty if it was not tried."""
        compiled = next((rate for rate in self.rates if rate.way.compiled), None)
        if compiled is None:
            return ""
        images = self.break_even()
        if images is None:
            return f"torch.compile fails on this machine: {compiled.failed}"
        took = f"compiling took {compiled.compiling:.0f} s"
        if math.isinf(images):
            return f"{took}, and compiled steps are not faster: compiling never pays off"
        epochs = images / self.rows
        return (
            f"{took}: compiling pays off after {images:,.0f} images, {epochs:.1f} epochs of all "
            f"{self.rows:,} rows"
        )

    def _lines(self) -> list[str]:
        return [*filter(None, [self.describe(), self.describe_advice(), self.describe_break_even()])]

    def to_frame(self) -> pd.DataFrame:
        """Returns a row per precision and memory layout: images per second of training and of predicting, or
        the error.
        """
        return frame(
            {
                "precision": rate.way.dtype,
                "memory_format": rate.way.memory_format,
                "compiled": rate.way.compiled,
                "training": None if rate.failed else rate.train,
                "predicting": None if rate.failed or rate.way.compiled else rate.predict,
                "failed": rate.failed,
            }
            for rate in self.rates
        )


@stage
def measure_speed(
    workspace: Workspace | StrPath, batch_size: int | None = None, steps: int = 10, compiled: bool = False
) -> Work[SpeedResult]:
    """Times steps of training and batches of predicting, one step of each setup per turn, so that a drift
    affects all equally.

    Raises ConfigError and PluginError for a network that cannot be built.
    """
    workspace = Workspace.of(workspace)
    experiment, table = workspace.experiment, train_table(workspace.root, workspace.competition.data)
    bench, plain, used = _set_up(workspace, table, batch_size)
    device, count = bench.device, len(bench.batch)
    ways = [
        ComputeSetup(dtype, memory_format)
        for memory_format in memory_formats(plain, device)
        for dtype in dtypes(device)
    ]
    setups = [ComputeSetup(used.train, used.memory_format), ComputeSetup(used.predict, used.memory_format)]
    ways = (
        list(dict.fromkeys([*ways, *setups]))
        + [ComputeSetup(used.train, used.memory_format, True)] * compiled
    )
    runs = {way: bench.rig(way) for way in ways}
    for turn in range(WARM_UP_STEPS + steps):
        for run in runs.values():
            run.turn()
        yield Progress("bench", turn + 1, WARM_UP_STEPS + steps)
    name = str(experiment.backbone.get("arch", bench.parts.backbone.plugin_name()))
    return SpeedResult(
        name,
        experiment.image_size,
        count,
        steps,
        str(device),
        torch.get_num_threads(),
        len(table),
        used,
        tuple(run.rate() for run in runs.values()),
    )


def measure_throughput(workspace: Workspace, table: Table, steps: int = 3) -> Throughput:
    """Returns the images per second of training and predicting of this config's run, from a few steps on random pixels.

    Raises ConfigError and PluginError for a network that cannot be built, RunError R02 if a step fails.
    """
    bench, _, used = _set_up(workspace, table, None)
    run = bench.rig(ComputeSetup(used.train, used.memory_format))
    with memory.retain_freed_memory(bench.device):
        for _ in range(WARM_UP_STEPS + steps):
            run.turn()
    rate = run.rate()
    if rate.failed:
        raise RunError(f"a step of {workspace.experiment.image_size} px failed: {rate.failed}", code="R02")
    return rate


def _set_up(
    workspace: Workspace, table: Table, batch_size: int | None
) -> tuple[_SharedSetup, nn.Module, Precision]:
    """Returns the shared setup for a config's network, the network without its weights, and the precision of a run."""
    experiment, root = workspace.experiment, workspace.root
    device = choose_device(experiment.device)
    parts = network.open_parts(experiment, root, network.classes_from_table(table))
    count = batch_size or experiment.batch_rows()
    channels = experiment.channels
    if parts.instances is not None:
        from kit.experiment.bags import images_per_row

        channels *= images_per_row(parts.instances, table)
    batch = random_batch(table, count, experiment.image_size, channels).pin_for(device)
    plain = network.build(parts.without_pretrained(), len(table.classes), experiment.image_size)
    configured = Precision(experiment.precision, experiment.predict_precision, experiment.memory_format)
    bench = _SharedSetup(experiment, root, parts, len(table.classes), device, batch)
    used = resolve_auto(plain, device, configured, experiment.image_size)
    return bench, plain, used


@dataclass
class _SharedSetup:
    """The state that all setups share. Setups of one layout train the same weights, so that memory holds few copies."""

    experiment: Experiment
    root: Path
    parts: network.Parts
    classes: int
    device: torch.device
    batch: Batch
    learners: dict[tuple[str, bool], Learner] = field(default_factory=dict)

    def rig(self, way: ComputeSetup) -> _SetupRun:
        """Returns the run of a setup."""
        precision = Precision(way.dtype, way.dtype, way.memory_format)
        key = way.memory_format, way.compiled
        if key not in self.learners:
            self.learners[key] = self._learner(precision, way.compiled)
        scaler = torch.amp.GradScaler(self.device.type, enabled=way.dtype == "float16")
        return _SetupRun(
            way,
            replace(self.learners[key], scaler=scaler),
            precision,
            self.parts.loss,
            self.batch,
            self.device,
            self.frozen,
        )

    @property
    def frozen(self) -> tuple[str, ...]:
        """The frozen parts of the longest stage."""
        stage, _ = max(self.experiment.plan(), key=lambda planned: planned[1].epochs)
        return stage.freeze

    def _learner(self, precision: Precision, compiled: bool) -> Learner:
        built = network.build(self.parts.without_pretrained(), self.classes, self.experiment.image_size)
        if self.experiment.adapter is not None:
            from kit.model.adapters import adapt

            adapt(built, self.experiment.open(Adapter, self.root))
        if self.experiment.gradient_checkpointing:
            from kit.model.gradient_checkpointing import enable_gradient_checkpointing

            enable_gradient_checkpointing(built, self.parts.backbone)
        placed = precision.to_device(built, self.device)
        optimizer = self.experiment.open(Optimizer, self.root)
        new_optimizer = optimizer.build(list(placed.named_parameters()))
        whole = learner(placed, new_optimizer, precision, self.experiment.ema_decay)
        if compiled:
            compile_training(placed)
        return whole


@dataclass
class _SetupRun:
    """One running setup: the seconds of each of its steps so far."""

    way: ComputeSetup
    learner: Learner
    precision: Precision
    loss: Loss
    batch: Batch
    device: torch.device
    frozen: tuple[str, ...] = ()
    trained: list[float] = field(default_factory=list)
    predicted: list[float] = field(default_factory=list)
    failed: str = ""

    def turn(self) -> None:
        """Times one step of training and one batch of predicting. A setup that fails is skipped from then on."""
        if self.failed:
            return
        try:
            self.trained.append(self._time(self._train))
            if not self.way.compiled:
                self.predicted.append(self._time(self._predict))
        except RuntimeError as error:  # torch's messages for missing operations or missing memory
            self.failed = str(error).splitlines()[0]

    def _train(self) -> None:
        freeze(self.learner.network, self.frozen)
        finish(optimizer_step(self.learner, self.loss, self.batch, PLAN, self.precision, 0.0))
        if self.learner.micro_batch_size:
            raise RuntimeError(f"out of memory with {len(self.batch)} images at a time")

    def _predict(self) -> None:
        self.learner.network.eval()
        images = self.precision.to_layout(self.batch.images, self.device)
        Predictor(self.learner.network, self.loss, self.precision).probabilities(images).cpu()

    def _time(self, work: Callable[[], None]) -> float:
        memory.wait_for(self.device)
        start = time.perf_counter()
        work()
        memory.wait_for(self.device)
        return time.perf_counter() - start

    def rate(self) -> Throughput:
        """Returns its median rates."""
        if self.failed:
            return Throughput(self.way, failed=self.failed)
        step, count = statistics.median(self.trained[WARM_UP_STEPS:]), len(self.batch)
        if self.way.compiled:
            return Throughput(
                self.way, count / step, compiling=sum(self.trained[:WARM_UP_STEPS]) - WARM_UP_STEPS * step
            )
        return Throughput(self.way, count / step, count / statistics.median(self.predicted[WARM_UP_STEPS:]))
