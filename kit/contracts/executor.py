"""Contract tests of executors; one that needs a cluster is not started."""

from __future__ import annotations

import signal
import time
from collections.abc import Generator

from kit.core.progress import Progress
from kit.core.stopping import Stop
from kit.errors import DataError, StoppedError
from kit.kinds import Executor, JobProgress, JobResult

LONG = 120.0  # seconds after which a job that waits to be stopped gives up


def double_number(job: int, stop: Stop) -> Generator[Progress, None, int]:
    """Doubles the job's number; a negative one is bad data, 13 an unexpected error."""
    yield Progress("law", 0, 1, f"job {job} begins", line=True)
    if job < 0:
        raise DataError(f"job {job} is negative", code="D01", hint="a positive one")
    if job == 13:
        raise ZeroDivisionError("no job is 13")
    return 2 * job


def wait_for_stop(job: int, stop: Stop) -> Generator[Progress, None, None]:
    """Runs until it is asked to stop."""
    yield Progress("law", 0, 1, "begins", line=True)
    begun = time.monotonic()
    while not stop.requested and time.monotonic() - begun < LONG:
        time.sleep(0.01)
    raise StoppedError(f"job {job} stopped", stop.requested)


def law_each_job_ends_once_with_its_result(executor: Executor) -> None:
    """Each job ends once, with its own result, and reports progress. An empty list of jobs gives nothing."""
    if executor.remote:
        return
    messages = list(executor.map(double_number, [1, 2, 3], Stop()))
    ended = {message.job: message.result for message in messages if isinstance(message, JobResult)}
    assert ended == {0: 2, 1: 4, 2: 6}, f"the results by job are {ended}"
    assert sum(isinstance(message, JobResult) for message in messages) == 3, "a job ended more than once"
    lines = {
        (message.job, message.step.detail)
        for message in messages
        if isinstance(message, JobProgress) and message.step.line
    }
    assert lines == {(at, f"job {at + 1} begins") for at in range(3)}, f"the lines were {lines}"
    assert not list(executor.map(double_number, [], Stop())), "map([]) yielded something"


def law_a_job_that_fails_leaves_the_others_to_go_on(executor: Executor) -> None:
    """A failed job ends with its error, code and hint (R10 if unexpected), and the other jobs continue."""
    if executor.remote:
        return
    messages = executor.map(double_number, [-1, 13, 3], Stop())
    ended = {message.job: message for message in messages if isinstance(message, JobResult)}
    assert ended[2].result == 6, f"the job beside those that fail came to {ended[2]}"
    error, other = ended[0].error, ended[1].error
    assert isinstance(error, DataError), f"bad data became {error!r}"
    assert (error.code, error.hint) == ("D01", "a positive one"), f"the error became {error}"
    assert other is not None, "the job that raised had no error"
    assert str(other).startswith("R10 ZeroDivisionError: no job is 13"), f"it became {other}"


def law_asked_to_stop_it_asks_the_jobs(executor: Executor) -> None:
    """On a request to stop, running jobs are asked to stop, waiting jobs never start, and all end as stopped."""
    if executor.remote:
        return
    stop, ended = Stop(), []
    begun = time.monotonic()
    for message in executor.map(wait_for_stop, list(range(executor.parallelism(99) + 1)), stop):
        stop.requested = signal.SIGTERM
        ended += [message] if isinstance(message, JobResult) else []
    assert time.monotonic() - begun < LONG, "the jobs were not asked"
    assert len(ended) == executor.parallelism(99) + 1, f"{len(ended)} jobs ended"
    wrong = [result for result in ended if not isinstance(result.error, StoppedError)]
    assert not wrong, f"jobs ended otherwise: {wrong}"
    assert all(result.error is not None and result.error.exit_code == 143 for result in ended), (
        "the signal was lost"
    )
