"""Progress: what a long stage yields while it works; its result is what the generator returns.

for step in (work := ResultOf(train_with_progress(...))): show(step)
run = work.result
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

T = TypeVar("T")


@dataclass(frozen=True)
class Progress:
    """`done` of `total` units of a task; `line` marks what is worth a line where there is no terminal."""

    task: str
    done: float
    total: float
    detail: str = ""
    line: bool = False


Work = Generator[Progress, None, T]


class ResultOf(Generic[T]):
    """Iterates a stage's progress and keeps what it returns as `result`."""

    result: T

    def __init__(self, work: Work[T]) -> None:
        self._work = work

    def __iter__(self) -> Iterator[Progress]:
        self.result = yield from self._work


def finish(work: Generator[Any, None, T]) -> T:
    """Runs a stage to its end without showing progress, and returns its result."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            return cast(T, end.value)
