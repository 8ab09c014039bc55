"""Inline: one job after another, in this process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from kit.executor import Function, not_begun, working
from kit.kinds import Ended, Executor, Said
from kit.stopping import Stop


class Inline(Executor):
    """One job after another in this process; unlike without an executor, a job that fails leaves the others to go on.

    Source: a loop; what others do in other processes must come to the same.
    """

    here: ClassVar[bool] = True

    def map(self, function: Function, jobs: Sequence[Any], stop: Stop) -> Iterator[Said | Ended]:
        for number, job in enumerate(jobs):
            if stop.asked:
                yield not_begun(number, stop)
            else:
                yield from working(function, number, job, stop)

    def at_once(self, jobs: int) -> int:
        return 1
