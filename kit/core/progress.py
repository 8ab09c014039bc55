"""Stages and their progress: one generator per stage, called as a plain function or followed step by step.

@stage
def embed(workspace: Workspace | StrPath, paths: Sequence[str]) -> Work[list[EmbedResult]]: ...

results = embed("my-competition", ["runs/r"])
for step in (work := ResultOf(embed.with_progress("my-competition", ["runs/r"]))): show(step)
results = work.result
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from functools import update_wrapper
from typing import Any, Generic, ParamSpec, TypeVar, cast

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Progress:
    """`done` of `total` units of a task. `line` marks steps that are printed if there is no terminal.

    `regular` marks one of many similar lines, such as one per epoch: a long log may leave some out.
    """

    task: str
    done: float
    total: float
    detail: str = ""
    line: bool = False
    regular: bool = False


Work = Generator[Progress, None, T]


class ResultOf(Generic[T]):
    """Iterates a stage's progress and stores its return value as `result`."""

    result: T

    def __init__(self, work: Work[T]) -> None:
        self._work = work

    def __iter__(self) -> Iterator[Progress]:
        self.result = yield from self._work


def finish(work: Generator[Any, None, T]) -> T:
    """Runs a generator of progress to its end and returns its result."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            return cast(T, end.value)


class StageFunction(Generic[P, T]):
    """A stage as a plain function that returns its result. `with_progress` returns the generator of its progress."""

    def __init__(self, work: Callable[P, Work[T]]) -> None:
        self._work = work
        update_wrapper(self, work)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        return finish(self._work(*args, **kwargs))

    def with_progress(self, *args: P.args, **kwargs: P.kwargs) -> Work[T]:
        """Makes the same call, as a generator that yields Progress and returns the result."""
        return self._work(*args, **kwargs)


def stage(work: Callable[P, Work[T]]) -> StageFunction[P, T]:
    """Turns a generator of progress into a stage."""
    return StageFunction(work)
