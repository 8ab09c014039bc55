"""The kind of plugin that runs jobs: in this process, in other processes or on a cluster. kit.kinds lists it."""

from __future__ import annotations

import time
import traceback
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from kit.core.installed import require_package
from kit.core.progress import Progress, Work
from kit.core.stopping import Stop
from kit.errors import Case, KitError, KitWarning, RunError, StoppedError
from kit.kinds.plugin import Plugin

SHOW_EVERY = 0.2  # seconds between two progress reports of a job
EXECUTOR_TASK = "executor"  # the task name of an executor's own messages

# runs one job: a function of a module, because workers import it; a job is plain data that can be pickled
Function = Callable[[Any, Stop], Work[Any]]


@dataclass(frozen=True)
class JobProgress:
    """The progress of a job, given by its number, or a line of its output."""

    job: int
    step: Progress


@dataclass(frozen=True)
class JobResult:
    """The end of a job, given by its number: its result, or the error that ended it."""

    job: int
    result: Any = None
    error: KitError | None = None


JobEvents = Generator[JobProgress | JobResult, None, None]


class Executor(Plugin):
    """Runs folds, runs and parts of predictions, and limits how many run at a time."""

    kind: ClassVar[str] = "executor"
    package: ClassVar[str] = ""  # the package that must be installed
    in_process: ClassVar[bool] = False  # True: jobs run in this process, on the device that they name
    remote: ClassVar[bool] = False  # True: it needs a cluster, so contract tests do not start it

    def map(self, function: Function, jobs: Sequence[Any], stop: Stop) -> JobEvents:
        """Runs all jobs and yields their progress. Each job yields exactly one result, in any order.

        The result of a failed job is its error, and the other jobs continue. On a request to `stop`, running jobs
        are asked to stop, and waiting jobs end with StoppedError. If it is closed early, it leaves no worker behind.
        """
        raise NotImplementedError

    def parallelism(self, jobs: int) -> int:
        """Returns how many of `jobs` jobs run at the same time."""
        raise NotImplementedError

    def check(self) -> None:
        """Raises ConfigError (C24) if it cannot work on this machine. kit calls it before any work starts."""
        require_package(self.package, f"executor {self.plugin_name()!r}", "executor=processes")


def run_job(function: Function, number: int, job: Any, stop: Stop) -> Iterator[JobProgress | JobResult]:
    """Runs one job in a worker: yields its progress at intervals, then its result. It never raises an Exception."""
    last_shown = 0.0
    work = function(job, stop)
    try:
        while True:
            step = next(work)
            if step.line or time.monotonic() - last_shown > SHOW_EVERY:
                last_shown = time.monotonic() if not step.line else last_shown
                yield JobProgress(number, step)
    except StopIteration as end:
        yield JobResult(number, end.value)
    except KitError as error:
        yield JobResult(number, error=error)
    except Exception as error:  # the other jobs continue, whatever a team's own code raises
        yield JobResult(number, error=wrap_exception(error))


def run_job_in_worker(
    function: Function, number: int, job: Any, stop: Stop
) -> Iterator[JobProgress | JobResult]:
    """Runs `run_job` in a process whose stderr is not read, and passes kit's warnings on as lines of the job."""
    warning_lines: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", KitWarning)
        warnings.showwarning = lambda message, *_, **__: warning_lines.append(f"warning: {message}")
        for job_message in run_job(function, number, job, stop):
            while warning_lines:
                yield JobProgress(number, Progress(EXECUTOR_TASK, 0, 1, warning_lines.pop(0), line=True))
            yield job_message


def wrap_exception(error: Exception) -> RunError:
    """Wraps an exception from outside kit as a RunError with its text and the lines of code that raised it."""
    frames = traceback.extract_tb(error.__traceback__)[-3:]
    cases = [Case(frame.line or frame.name, f"{frame.filename}:{frame.lineno}") for frame in reversed(frames)]
    return RunError(
        f"{type(error).__name__}: {error}",
        code="R10",
        cases=cases,
        hint="correct the error, then run the same command again; without an executor kit prints the "
        "full traceback",
    )


def worker_lost_error(
    number: int, times: int, retries: int, how: str, advice: str, stop: Stop
) -> JobProgress | JobResult:
    """Returns the result for a job whose worker was lost for the `times`th time: JobProgress if it is
    retried, else JobResult.

    `how` describes the end of the worker, `advice` what may help the next one.
    """
    if stop.requested:
        return cancellation_error(number, stop)
    if times > retries:
        again = f", {times} times" if times > 1 else ""
        hint = f"out of memory? {advice}; the same command resumes from the last checkpoint"
        return JobResult(number, error=RunError(f"{how}{again}", code="R11", hint=hint))
    text = f"{how}; another worker resumes from the last checkpoint"
    return JobProgress(number, Progress(EXECUTOR_TASK, 0, 1, text, line=True))


def cancellation_error(number: int, stop: Stop) -> JobResult:
    """Returns the result of a waiting job that was cancelled."""
    return JobResult(number, error=StoppedError("stopped before it began", stop.requested))
