"""LoaderBenchmark: images per second by number of loader processes, of training and of the loader alone."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import islice
from statistics import median
from typing import TYPE_CHECKING, Any

import torch

from kit.config.workspace import Workspace
from kit.core.cores import available_cores
from kit.core.display import Displayed, frame
from kit.core.files import StrPath
from kit.core.progress import Progress, Work, stage
from kit.device import memory
from kit.device.precision import worker_count
from kit.engine import fit
from kit.engine.batches import TrainBatches
from kit.engine.fit import FitStage
from kit.experiment.fold_training import new_learner, plan_of, train_stages
from kit.experiment.run_context import RunContext, prepare_run
from kit.runs.run import Run

if TYPE_CHECKING:
    import pandas as pd

EQUAL_RATE_FACTOR = 1.05  # times as fast is as fast: two measurements of the same differ by about that
WARM_UP_STEPS = 3  # steps that start processes and allocate, and are not counted


@dataclass(frozen=True)
class WorkerRate:
    """Images per second with a number of loader processes: made by the loader alone, and trained."""

    workers: int
    loaded: float
    trained: float


@dataclass(frozen=True, repr=False)
class LoaderResult(Displayed):
    """The measurements, fewest workers first. `used` is the number that the config's `workers` gives here."""

    batch_size: int
    steps: int
    device: str
    used: int
    rates: tuple[WorkerRate, ...]

    @property
    def fastest(self) -> WorkerRate:
        """The number that trains fastest."""
        return max(self.rates, key=lambda rate: rate.trained)

    def advice(self) -> int | None:
        """Returns the fewest workers that train about as fast as any, if the config's train slower than that."""
        best = self.fastest.trained
        enough = next(rate for rate in self.rates if rate.trained * EQUAL_RATE_FACTOR >= best)
        used = next(rate for rate in self.rates if rate.workers == self.used)
        return enough.workers if used.trained * EQUAL_RATE_FACTOR < best else None

    def describe(self) -> str:
        """Returns what was timed, in one line."""
        return f"batch {self.batch_size}, {self.device}: images/s, median of two turns of {self.steps} steps"

    def describe_advice(self) -> str:
        """Returns whether another number of loader processes is faster, in one line."""
        advice = self.advice()
        if advice is None:
            return "used: the number of this config; no other number is more than 5 % faster"
        return f"used: the number of this config; faster on this machine: workers={advice}"

    def _lines(self) -> list[str]:
        return [self.describe(), self.describe_advice()]

    def to_frame(self) -> pd.DataFrame:
        """Returns a row per number of loader processes: images per second of the loader alone and of training."""
        return frame(
            {
                "workers": rate.workers,
                "loader_alone": rate.loaded,
                "training": rate.trained,
                "used": rate.workers == self.used,
                "fastest": rate is self.fastest,
            }
            for rate in self.rates
        )


@stage
def measure_loader(
    workspace: Workspace | StrPath, workers: Sequence[int] = (), steps: int = 20
) -> Work[LoaderResult]:
    """Trains steps of fold 0 with each number of loader processes, in turns, and discards them; fills the cache.

    The default is 0, 1, 2, 4, ... up to the cores, and the config's number. Raises what preparing a run
    raises.
    """
    workspace = Workspace.of(workspace)
    setting = yield from prepare_run(workspace, Run(workspace.runs / ".bench"))
    used = worker_count(workspace.experiment.workers, setting.device)
    counts = sorted({*(workers or _powers(available_cores())), used})
    rows = setting.experiment.batch_rows()
    loader_runs = [_LoaderRun(setting, count) for count in counts]
    for turn in range(2):
        for index, loader_run in enumerate(loader_runs):
            loader_run.turn(steps)
            done = turn * len(loader_runs) + index + 1
            yield Progress("bench", done, 2 * len(loader_runs), f"{loader_run.workers} workers")
    rates = tuple(
        WorkerRate(loader_run.workers, loader_run.rate(loader_run.loads), loader_run.rate(loader_run.trains))
        for loader_run in loader_runs
    )
    return LoaderResult(rows, steps, str(setting.device), used, rates)


def _powers(most: int) -> list[int]:
    """Returns 0, 1, 2, 4, ... up to a number of cores."""
    return [0, *(2**power for power in range(most.bit_length()))]


@dataclass
class _LoaderRun:
    """One number of workers: seconds and images of its timed batches, loaded alone and trained."""

    setting: RunContext
    workers: int
    loads: list[tuple[float, int]] = field(default_factory=list)
    trains: list[tuple[float, int]] = field(default_factory=list)

    def turn(self, steps: int) -> None:
        stage = self._stage()
        with closing(stage.batches):
            self.loads += _time_steps(_batches(stage), lambda batch: len(batch), steps, self.setting.device)
        stage = self._stage()
        learner, plan = new_learner(self.setting, 0), plan_of(self.setting, 0)
        # the last epoch ends with batch norm's statistics, so it is not among the timed ones
        epochs = math.ceil((WARM_UP_STEPS + steps) / stage.batches.steps) + 1
        events = fit.fit(learner, [replace(stage, epochs=epochs)], plan, self.setting.precision)
        done = (event for event in events if isinstance(event, fit.StepEvent))
        with closing(stage.batches):
            self.trains += _time_steps(done, lambda step: step.rows, steps, self.setting.device)

    def _stage(self) -> FitStage:
        experiment = self.setting.experiment.model_copy(update={"workers": self.workers})
        stages = tuple(
            replace(stage, experiment=stage.experiment.model_copy(update={"workers": self.workers}))
            for stage in self.setting.techniques.stages
        )
        techniques = replace(self.setting.techniques, stages=stages)
        return train_stages(replace(self.setting, experiment=experiment, techniques=techniques), 0)[0]

    def rate(self, timed: Sequence[tuple[float, int]]) -> float:
        """Returns the images per second of the median turn of steps."""
        return median(images / seconds for seconds, images in timed)


def _batches(stage: FitStage) -> Iterator[Any]:
    batches = stage.batches
    assert isinstance(batches, TrainBatches)
    while True:
        yield from batches.epoch(0)


def _time_steps(
    work: Iterator[Any], rows: Callable[[Any], int], steps: int, device: torch.device
) -> list[tuple[float, int]]:
    """Returns seconds and images of `steps` steps, after warm-up steps, until the device has finished its queue."""
    for _ in islice(work, WARM_UP_STEPS):
        pass
    memory.wait_for(device)
    start = time.perf_counter()
    images = sum(rows(batch) for batch in islice(work, steps))
    memory.wait_for(device)
    return [(time.perf_counter() - start, images)]
