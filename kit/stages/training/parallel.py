"""fanned: trains the folds of one run or several as jobs of an executor. The result is as if trained here.

The process that starts the jobs has prepared the runs and holds their locks. A worker opens the run by its
config, checks that it has the same kit, plugins, data and folder, and trains its fold under the fold's lock.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kit.config.workspace import Workspace
from kit.core.progress import Progress, Work, finish
from kit.core.stopping import TIME_OVER_TEXT, Deadline, Stop
from kit.device.precision import DEVICE
from kit.errors import TIME_OVER, DataError, KitError, KitWarning, RunError, StoppedError
from kit.experiment.prediction_file import assemble
from kit.experiment.run_context import RunContext, prepare_run
from kit.experiment.techniques import check_kit, code, worker_name
from kit.kinds.executor import Executor, JobProgress, JobResult
from kit.runs.changes import provenance_diff
from kit.runs.run import Run
from kit.stages.training.fold import lock_fold, run_fold
from kit.stages.training.pausing import has_finished_folds, is_paused


@dataclass(frozen=True)
class FoldJob:
    """A fold to be trained: plain data, with which any process that sees the workspace's folder can train it."""

    root: str
    config: Mapping[str, Any]  # resolved: precision, layout and batch are those that the run started with
    run: str
    fold: int
    position: int  # position among the folds of the command
    of: int
    started: str  # the run's start time, which distinguishes it from another one of that name
    provenance: Mapping[str, Any]
    kit: str  # its code's hash
    end: float | None = None  # the deadline as seconds since 1970, which all machines have; None: no limit
    until: int | None = None  # epochs after which the fold pauses; None: it is trained to its end


def jobs_of(
    setting: RunContext, wanted: Sequence[int], end: float | None = None, until: int | None = None
) -> list[FoldJob]:
    """Returns a job for each unfinished fold of a started run. The last one pauses after `until` epochs."""
    run, config = setting.run, setting.config_for_workers()
    manifest = run.manifest
    return [
        FoldJob(
            str(setting.workspace.root),
            config,
            run.name,
            fold,
            position,
            len(wanted),
            manifest["started"],
            manifest["provenance"],
            code(),
            end,
            until if fold == wanted[-1] else None,
        )
        for position, fold in enumerate(wanted)
        if not run.fold_predictions_file(fold).is_file()
    ]


def train_fold(job: FoldJob, stop: Stop) -> Work[None]:
    """Trains one fold in any process.

    Raises DataError D60 if the process has another kit, other plugins or data; RunError R12 if it does not
    see the run.
    """
    check_kit(job.kit)
    if job.end is not None and stop.deadline is None:
        stop.deadline = Deadline(job.end - time.time())
    workspace = Workspace(Path(job.root), dict(job.config))
    run = Run(workspace.runs / job.run)
    _check_seen(run, job)
    with lock_fold(run, job.fold):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", KitWarning)  # reported where the run was prepared
            setting = finish(prepare_run(workspace, run))
        _check_made(job, setting.provenance())
        if number := stop.requested:
            raise StoppedError(f"stopped before fold {job.fold}", number)
        yield setting.device_line()
        yield from run_fold(setting, job.fold, job.position, job.of, stop, job.until)
    _check_seen(run, job)  # a lost mount has left a folder with its name


def _check_seen(run: Run, job: FoldJob) -> None:
    """Checks that this process sees the folder in which the command has started the run."""
    try:
        started = run.manifest.get("started")
    except KitError:
        started = None
    if started != job.started:
        raise RunError(
            f"{worker_name()} sees another {run.folder} than the command",
            code="R12",
            hint="the workspace must be a folder shared by all nodes, under one path; check that it is "
            "mounted",
        )


def _check_made(job: FoldJob, provenance: Mapping[str, Any]) -> None:
    if cases := provenance_diff(job.provenance, provenance, "here", "there"):
        raise DataError(
            f"{worker_name()} would train runs/{job.run} from other inputs than the command",
            code="D60",
            cases=cases,
            hint="install the same versions and plugins on every node, and share one folder",
        )


@dataclass(frozen=True)
class BegunRun:
    """A run whose folder says what it is, and the folds to train; the last one pauses after `until` epochs."""

    setting: RunContext
    folds: list[int]
    until: int | None = None


def train_in_parallel(
    executor: Executor, begun: Mapping[int, BegunRun], stop: Stop
) -> Work[dict[int, Run | KitError]]:
    """Trains the folds of started runs and assembles each. If a fold fails, the run's result is the fold's error.

    After all jobs have ended, raises StoppedError R05 if `stop` ended some of them early.
    """
    fan = _ParallelFolds.of(
        begun, None if stop.deadline is None else time.time() + stop.deadline.seconds_left
    )
    events = executor.map(train_fold, [job for _, job in fan.jobs], stop)
    with stop.at_step_boundary(), closing(events):
        for event in events:
            yield from (
                fan.handle_result(event) if isinstance(event, JobResult) else fan.report_progress(event)
            )
    number = stop.requested or fan.number
    if number and (cut := fan.cut_short()):
        why = f"{TIME_OVER_TEXT}: " if number == TIME_OVER else ""
        error = StoppedError(f"{why}stopped with {len(cut)} folds left; all progress is saved", number)
        raise error.replace(cases=cut)
    return {key: _came(run, fan.errors[key]) for key, run in begun.items()}


@dataclass(frozen=True, eq=False)
class _ParallelFolds:
    """The jobs of several runs, by the run's key, and their results."""

    runs: Mapping[int, Run]
    jobs: Sequence[tuple[int, FoldJob]]
    shares: list[float]  # progress of each job, from 0 to 1
    left: dict[int, int]  # jobs of a run
    errors: dict[int, list[tuple[FoldJob, KitError]]]
    devices: set[str] = field(default_factory=set)  # of the last shown line

    @classmethod
    def of(cls, begun: Mapping[int, BegunRun], end: float | None = None) -> _ParallelFolds:
        jobs = [
            (key, job)
            for key, run in begun.items()
            for job in jobs_of(run.setting, run.folds, end, run.until)
        ]
        return cls(
            {key: run.setting.run for key, run in begun.items()},
            jobs,
            [0.0] * len(jobs),
            {key: sum(of == key for of, _ in jobs) for key in begun},
            {key: [] for key in begun},
        )

    def name(self, job: FoldJob) -> str:
        """Returns the prefix of a job's lines: its run, if there are several."""
        return f"{job.run}: " if len(self.runs) > 1 else ""

    def report_progress(self, progress: JobProgress) -> Iterator[Progress]:
        """Yields a job's progress, as a part of the whole."""
        job, step = self.jobs[progress.job][1], progress.step
        if step.task == DEVICE:
            if step.detail not in self.devices:
                self.devices.add(step.detail)
                yield Progress(DEVICE, sum(self.shares), len(self.shares), step.detail, line=True)
        elif step.task == "train":
            self.shares[progress.job] = step.done * job.of - job.position
            yield self._line(self.name(job) + step.detail, step.line, step.regular)
        else:
            yield self._line(f"{self.name(job)}fold {job.fold}: {step.detail}", step.line)

    def handle_result(self, result: JobResult) -> Iterator[Progress]:
        """Stores a job's result, and yields a line if it failed or was the last of its run."""
        key, job = self.jobs[result.job]
        self.shares[result.job] = 1.0
        self.left[key] -= 1
        error = result.error or _check_written(self.runs[key], job)
        if error is not None:
            self.errors[key].append((job, error))
            if not isinstance(error, StoppedError):
                yield self._line(f"{self.name(job)}fold {job.fold} failed: {error.code} {error.summary}")
        elif not self.left[key] and not self.errors[key] and len(self.runs) > 1:
            yield self._line(f"{self.name(job)}all folds are trained")

    @property
    def number(self) -> int:
        """TIME_OVER if a worker has stopped for the deadline, which it measures by its own steps; else 0."""
        all_errors = [error for pairs in self.errors.values() for _, error in pairs]
        over = any(
            isinstance(failure, StoppedError) and failure.number == TIME_OVER for failure in all_errors
        )
        return TIME_OVER if over else 0

    def cut_short(self) -> list[str]:
        """Returns where each job stopped that a signal ended early."""
        pairs_of_errors = [pair for pairs in self.errors.values() for pair in pairs]
        return [
            f"{self.name(job)}fold {job.fold}: {error.summary}"
            for job, error in pairs_of_errors
            if isinstance(error, StoppedError)
        ]

    def _line(self, text: str, line: bool = True, regular: bool = False) -> Progress:
        return Progress("train", sum(self.shares), len(self.shares), text, line, regular)


def _check_written(run: Run, job: FoldJob) -> KitError | None:
    """Checks that the files of a worker are also visible here."""
    if run.fold_predictions_file(job.fold).is_file():
        return None
    if job.until is not None and is_paused(run, job.fold, job.until):
        return None
    return RunError(
        f"fold {job.fold} of runs/{job.run} was trained, but {run.fold_predictions_file(job.fold)} does "
        "not exist",
        code="R12",
        hint="the workspace must be a folder shared by all nodes; check that it is mounted",
    )


def _came(begun: BegunRun, errors: Sequence[tuple[FoldJob, KitError]]) -> Run | KitError:
    """Returns the assembled run, or its first error with the number of failed folds."""
    setting = begun.setting
    if errors:
        job, first = errors[0]
        others = f" ({len(errors)} of {job.of} folds failed, the others are saved)"
        summary = f"fold {job.fold}: {first.summary.removeprefix(f'fold {job.fold}: ')}{others}"
        return first.replace(summary=summary)
    if begun.until is not None and not has_finished_folds(setting):
        return setting.run
    try:
        setting.trackers.log_pooled(setting, assemble(setting))
    except KitError as error:
        return error
    return setting.run
