"""Planning: which networks are trained in the time that there is; values in, values out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

TIME_MARGIN = (
    1.1  # a network takes so many times what was measured: opening and first batches are in no epoch's time
)


class HasCost(Protocol):
    """What takes so many seconds."""

    @property
    def cost(self) -> float: ...


C = TypeVar("C", bound=HasCost)


def rank_by_importance(count: int, score: Callable[[tuple[int, ...]], float]) -> list[int]:
    """Runs, the most needed first: the one whose loss costs the blend least is taken away, again and again.

    `score` is that of a blend of some of them, higher is better. If two members are equal, the later one is
    dropped first.
    """
    left, gone = list(range(count)), list[int]()
    while len(left) > 1:
        without = {one: score(tuple(each for each in left if each != one)) for one in left}
        least = max(left, key=lambda one: (without[one], one))
        left.remove(least)
        gone.append(least)
    return [*left, *reversed(gone)]


def select_fitting(units: Sequence[C], seconds: float) -> list[C]:
    """The units that fit, each in its turn: one that is too long does not keep a shorter one behind it away."""
    kept, spent = list[C](), 0.0
    for unit in units:
        cost = unit.cost
        if spent + cost <= seconds:
            kept.append(unit)
            spent += cost
    return kept
