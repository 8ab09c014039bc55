"""Planning: chooses the networks to train in the available time; a pure function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

TIME_MARGIN = (
    1.1  # factor of a network's measured time, because no epoch's time includes opening and first batches
)


class HasCost(Protocol):
    """An item with a cost in seconds."""

    @property
    def cost(self) -> float: ...


C = TypeVar("C", bound=HasCost)


def rank_by_importance(count: int, score: Callable[[tuple[int, ...]], float]) -> list[int]:
    """Returns runs, the most needed first: the run whose loss costs the blend least is removed repeatedly.

    `score` is that of a blend of some of them, higher is better. If two members are equal, the later one is
    dropped first.
    """
    left, gone = list(range(count)), list[int]()
    while len(left) > 1:
        without = {
            member: score(tuple(remaining for remaining in left if remaining != member)) for member in left
        }
        least = max(left, key=lambda member: (without[member], member))
        left.remove(least)
        gone.append(least)
    return [*left, *reversed(gone)]


def select_fitting(units: Sequence[C], seconds: float) -> list[C]:
    """Returns the units that fit, each in its turn. A unit that is too long does not block a shorter one behind it."""
    chosen, spent = list[C](), 0.0
    for unit in units:
        cost = unit.cost
        if spent + cost <= seconds:
            chosen.append(unit)
            spent += cost
    return chosen
