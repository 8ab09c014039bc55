"""Bench: the device on which benchmarks/gpu.py checks, what a check returns, and the list of checks."""

from __future__ import annotations

import math
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor

import kit
from benchmarks.train_throughput import draw
from kit.config.workspace import Workspace
from kit.core.progress import finish
from kit.device import memory
from kit.engine.batches import Batch, random_batch
from kit.engine.learner import Learner
from kit.engine.step import StepPlan, optimizer_step
from kit.experiment.run_context import RunContext, prepare_run
from kit.kinds import Loss
from kit.runs.run import find_run

CPU = torch.device("cpu")
RATE_S = 4.0  # seconds that a rate is measured for on a GPU


class NotPossibleError(Exception):
    """This device cannot show what a check is about; the text says why."""


@dataclass(frozen=True)
class Outcome:
    """Whether a promise holds, None if there is no limit for this device, and the figure."""

    passed: bool | None
    figure: str


@dataclass(frozen=True)
class Bench:
    """The device, a folder for drawn competitions, and sizes that the device computes in seconds."""

    device: torch.device
    folder: Path

    @property
    def is_gpu(self) -> bool:
        """Whether the limits for a GPU count."""
        return self.device.type == "cuda"

    @property
    def arch(self) -> str:
        """The network of most checks."""
        return "resnet50" if self.is_gpu else "resnet10t"

    @property
    def size(self) -> int:
        """The side of its images in pixels."""
        return 224 if self.is_gpu else 32

    @property
    def large_batch(self) -> int:
        """A batch that fills the device."""
        if not self.is_gpu:
            return 16
        return 256 if torch.cuda.get_device_properties(self.device).total_memory > 30 * 2**30 else 128

    def require_gpu(self) -> None:
        """Raises NotPossibleError without a GPU."""
        if not self.is_gpu:
            raise NotPossibleError("needs a GPU")

    def workspace(self, *overrides: str) -> Workspace:
        """A drawn competition with the default recipe but for these overrides."""
        root = self.folder / "competition"
        if not (root / "config.json").is_file():
            draw(root, 1024 if self.is_gpu else 96)
        return Workspace.open(
            root,
            [
                f"device={self.device.type}",
                f"backbone.arch={self.arch}",
                f"image_size={self.size}",
                f"batch_size={32 if self.is_gpu else 8}",
                "splitter=holdout",
                "splitter.holdout_fraction=0.1",
                "loss=cross_entropy",
                *overrides,
            ],
        )

    def context(self, *overrides: str) -> RunContext:
        """What `kit train` prepares for these overrides."""
        workspace = self.workspace(*overrides)
        return finish(prepare_run(workspace, find_run(workspace)))

    def batch(self, context: RunContext, count: int) -> Batch:
        """Random pixels as the loader gives them, in page-locked memory beside a GPU."""
        batch = random_batch(context.loaded.table, count, context.experiment.image_size)
        if not self.is_gpu:
            return batch
        return replace(batch, images=batch.images.pin_memory(), labels=batch.labels.pin_memory())

    def rate(self, work: Callable[[], object], images: int, seconds: float = RATE_S) -> float:
        """Images a second of repeated work, with everything finished at both ends."""
        for _ in range(5 if self.is_gpu else 1):
            work()
        memory.wait_for(self.device)
        start, turns = time.perf_counter(), 0
        while turns < 2 or time.perf_counter() - start < (seconds if self.is_gpu else 0.3):
            work()
            turns += 1
            if turns % 10 == 0:  # otherwise a processor far ahead measures its own queue
                memory.wait_for(self.device)
        memory.wait_for(self.device)
        return turns * images / (time.perf_counter() - start)


CheckFunction = Callable[[Bench], Outcome]
CHECKS: dict[str, CheckFunction] = {}


def check(name: str, *options: Any) -> Callable[[Callable[..., Outcome]], Callable[..., Outcome]]:
    """Adds a function to the list of checks: once, or once for each of these options, which are tuples."""

    def add(function: Callable[..., Outcome]) -> Callable[..., Outcome]:
        if not options:
            CHECKS[name] = function
        for values in options:
            CHECKS[name.format(*values)] = partial(_call, function, values)
        return function

    return add


def _call(function: Callable[..., Outcome], values: tuple[Any, ...], bench: Bench) -> Outcome:
    return function(bench, *values)


def take_step(context: RunContext, learner: Learner, batch: Batch, **plan: Any) -> tuple[Tensor, Tensor]:
    """One of kit's optimizer steps: its loss and whether it was finite, both on the device: no wait for the step."""
    loss = context.techniques.parts.loss
    value, finite = finish(
        optimizer_step(learner, loss, batch, StepPlan(0, 0, **plan), context.precision, 0.0)
    )
    learner.step += 1
    return value, finite


def take_nan_step(context: RunContext, learner: Learner, batch: Batch, **plan: Any) -> bool:
    """A step whose loss is not a number; whether kit took it for finite."""
    kind = type(context.techniques.parts.loss)
    plain = kind.rows

    def spoil(loss: Loss, outputs: Tensor, labels: Tensor) -> Tensor:
        return plain(loss, outputs, labels) * math.nan

    with patch.object(kind, "rows", spoil):
        return bool(take_step(context, learner, batch, **plan)[1])


def kit_line(error: BaseException) -> str:
    """The last line of kit that an error came through, such as `step.py:120`."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename).is_relative_to(Path(kit.__file__).parent)
    ]
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "other code"
