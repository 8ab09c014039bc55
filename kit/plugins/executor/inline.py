"""Inline: one job after another, in this process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from kit.core.stopping import Stop
from kit.kinds import Executor, Function, Told
from kit.kinds.executor import not_begun, working


class Inline(Executor):
    """One job after another in this process. If a job fails, the others still run.

    Source: a loop; what others do in other processes must come to the same.
    """

    here: ClassVar[bool] = True

    def map(self, function: Function, jobs: Sequence[Any], stop: Stop) -> Told:
        for number, job in enumerate(jobs):
            if stop.asked:
                yield not_begun(number, stop)
            else:
                yield from working(function, number, job, stop)

    def at_once(self, jobs: int) -> int:
        return 1
