"""In process: one job after another, in this process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from kit.core.stopping import Stop
from kit.kinds import Executor, Function, JobEvents
from kit.kinds.executor import cancellation_error, run_job


class InProcess(Executor):
    """One job after another in this process. If a job fails, the others still run.

    Source: a loop. Executors of other processes must give the same results.
    """

    in_process: ClassVar[bool] = True

    def map(self, function: Function, jobs: Sequence[Any], stop: Stop) -> JobEvents:
        for number, job in enumerate(jobs):
            if stop.requested:
                yield cancellation_error(number, stop)
            else:
                yield from run_job(function, number, job, stop)

    def parallelism(self, jobs: int) -> int:
        return 1
