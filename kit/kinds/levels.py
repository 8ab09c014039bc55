"""Level: the parents of a competition's classes, such as the genus or the family of each species."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from kit.core.arrays import Probabilities


@dataclass(frozen=True)
class Level:
    """A level of a tree of classes: its name, such as `genus`, and the parent of each class, in class order."""

    name: str
    parents: tuple[str, ...]

    @cached_property
    def nodes(self) -> tuple[str, ...]:
        """Returns the different parents, in the order of their first classes."""
        return tuple(dict.fromkeys(self.parents))

    @cached_property
    def numbers(self) -> tuple[int, ...]:
        """Returns the number of each class's parent among `nodes`, in class order."""
        index_of = {name: at for at, name in enumerate(self.nodes)}
        return tuple(index_of[name] for name in self.parents)

    def sum_children(self, probabilities: Probabilities) -> np.ndarray:
        """Returns the sum of the classes of each parent, float64 (N, parents), for probabilities (N, K)."""
        import numpy as np

        order = np.argsort(self.numbers, kind="stable")
        starts = np.searchsorted(np.asarray(self.numbers)[order], np.arange(len(self.nodes)))
        return np.asarray(np.add.reduceat(probabilities[:, order].astype(np.float64), starts, axis=1))

    def of_classes(self, numbers: Sequence[int]) -> Level:
        """Returns the level of the classes with these numbers, in that order."""
        return Level(self.name, tuple(self.parents[at] for at in numbers))


def above(levels: Sequence[Level], level: Level) -> tuple[Level, ...]:
    """Returns the levels above one of them, as parents of its nodes."""
    first = [level.numbers.index(at) for at in range(len(level.nodes))]  # a class of each node
    names = [known_level.name for known_level in levels]
    return tuple(known_level.of_classes(first) for known_level in levels[names.index(level.name) + 1 :])
