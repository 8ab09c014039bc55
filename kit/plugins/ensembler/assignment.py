"""Assignment: each class at most once in a group of rows, such as the wells of a plate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Self

import numpy as np
from pydantic import Field

from kit.core.arrays import Probabilities, Targets
from kit.errors import ConfigError
from kit.kinds import Ensembler, ScoreContext, bound_field
from kit.plugins.ensembler.mean import Mean

MIN_PROBABILITY = 1e-12  # so that each class of a row has a finite cost
MARGIN = 1e-6  # of a row's highest probability; float32 holds it


class Assignment(Ensembler):
    """Probabilities of `base`, changed so that a group of rows has each class at most `capacity` times.

    The rows of a group are those with equal values in the columns `group`. Among all assignments of classes to them,
    the one with the highest product of probabilities is taken. In each row the assigned class and the most probable
    class swap their probabilities. The rule acts on final rows, after the mean over folds. Rows with blank values are
    left as they are.

    With `class_sets`, classes that share a training group form a set. Each group gets only classes of one
    set: the set that its rows predict most often.

    Raises ConfigError C81 for a group with more rows than its classes allow, or if `group` is empty.

    Source: Kuhn 1955, "The Hungarian Method for the Assignment Problem", by scipy's linear_sum_assignment.
    """

    base: Ensembler = Field(Mean(), description="ensembler whose probabilities are assigned")
    group: tuple[str, ...] = Field(
        (), description="columns of both tables; rows with equal values in all of them are one group"
    )
    capacity: int = Field(1, ge=1, description="maximum number of rows of a group with the same class")
    class_sets: bool = Field(
        False, description="restrict each group to one of the class sets found in the training groups"
    )
    sets: tuple[int, ...] = Field((), description="fitted, do not set: set of each class, or -1 for any set")

    context: ScoreContext = bound_field(ScoreContext())

    def needs_fit(self) -> bool:
        return self.class_sets or self.base.needs_fit()

    def gives_distributions(self) -> bool:
        return self.base.gives_distributions()

    def row_columns(self) -> tuple[str, ...]:
        if not self.group:
            raise ConfigError(
                "ensembler 'assignment' needs the columns that make a group",
                code="C81",
                hint='ensembler.group=["experiment", "plate"]',
            )
        return self.group

    def fit(self, members: Probabilities, truth: Targets) -> Self:
        fitted = self.model_copy(update={"base": self.base.fit(members, truth)})
        if not self.class_sets or not self.context.columns:
            return fitted
        groups = number_groups(self.context.columns, self.group)
        return fitted.model_copy(update={"sets": find_class_sets(groups, truth, members.shape[2])})

    def blend(self, members: Probabilities) -> Probabilities:
        return self.base.blend(members)

    def finish(self, blended: Probabilities, context: ScoreContext) -> Probabilities:
        if not context.columns:
            return blended
        finished = blended.astype(np.float64)
        for rows in _rows_of_groups(number_groups(context.columns, self.group)):
            values = " ".join(f"{name}={context.columns[name][rows[0]]}" for name in self.group)
            assigned = self._assign(finished[rows], values)
            finished[rows] = raise_assigned(finished[rows], assigned)
        return finished

    def _assign(self, shares: np.ndarray, values: str) -> np.ndarray:
        """Returns the class of each row of a group, (n,). `values` name the group."""
        classes = np.arange(shares.shape[1])
        if self.sets:
            allowed = _most_predicted_set(shares, np.asarray(self.sets))
            classes = allowed if len(shares) <= len(allowed) * self.capacity else classes
        if len(shares) > len(classes) * self.capacity:
            raise ConfigError(
                f"the group {values} has {len(shares)} rows, and {len(classes)} classes at most "
                f"{self.capacity} times each",
                code="C81",
                hint=f"ensembler.capacity={-(-len(shares) // len(classes))}, or more columns in ensembler.group",
            )
        return assign(shares, classes, self.capacity)

    def find_used(self, count: int) -> tuple[int, ...]:
        return self.base.find_used(count)

    def restrict(self, places: Sequence[int]) -> Self:
        return self.model_copy(update={"base": self.base.restrict(places)})


def number_groups(columns: Mapping[str, np.ndarray], names: Sequence[str]) -> np.ndarray:
    """Returns the number of each row's group, int64 (N,), -1 if all of its values are blank."""
    keys = list(zip(*(columns[name].tolist() for name in names), strict=True))
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    return np.array([numbers[key] if any(key) else -1 for key in keys], dtype=np.int64)


def _rows_of_groups(groups: np.ndarray) -> Iterator[np.ndarray]:
    order = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.diff(groups[order], prepend=-2))
    for rows in np.split(order, starts[1:]):
        if len(rows) and groups[rows[0]] >= 0:
            yield rows


def assign(shares: np.ndarray, classes: np.ndarray, capacity: int) -> np.ndarray:
    """Assigns classes by probabilities (n, K): the class number of each row, (n,), each of `classes` at most
    `capacity` times.

    The sum of the log probabilities is the highest possible.
    """
    from scipy.optimize import linear_sum_assignment

    places = np.repeat(classes, min(capacity, len(shares)))
    costs = -np.log(np.maximum(shares[:, places], MIN_PROBABILITY))
    rows, chosen = linear_sum_assignment(costs)
    assigned = np.empty(len(shares), dtype=np.int64)
    assigned[rows] = places[chosen]
    return assigned


def raise_assigned(shares: np.ndarray, assigned: np.ndarray) -> np.ndarray:
    """Returns rows (n, K) in which the assigned class is the most probable one: the two swap their probabilities."""
    rows, raised = np.arange(len(shares)), shares.copy()
    top = shares.argmax(axis=1)
    raised[rows, top], raised[rows, assigned] = shares[rows, assigned], shares[rows, top]
    others = raised.copy()
    others[rows, assigned] = -1
    level = others.max(axis=1) >= raised[rows, assigned] * (1 - MARGIN)
    raised[rows[level], assigned[level]] *= 1 + 2 * MARGIN
    sums = raised[level].sum(axis=1, keepdims=True)
    raised[level] *= shares[level].sum(axis=1, keepdims=True) / np.where(sums > 0, sums, 1)
    return raised


def find_class_sets(groups: np.ndarray, truth: Targets, classes: int) -> tuple[int, ...]:
    """Returns the set of each class. Classes that share a group are in one set, and a class without rows has -1."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    own = np.flatnonzero(groups >= 0)
    count = int(groups.max(initial=-1)) + 1
    links = coo_matrix(
        (np.ones(len(own)), (groups[own], count + truth[own])), shape=(count + classes, count + classes)
    )
    labels = connected_components(links, directed=False)[1][count:]
    seen = np.isin(np.arange(classes), truth[own])
    numbers = np.unique(labels[seen], return_inverse=True)[1]
    sets = np.full(classes, -1)
    sets[seen] = numbers
    return tuple(sets.tolist())


def _most_predicted_set(shares: np.ndarray, sets: np.ndarray) -> np.ndarray:
    """Returns the classes of the set that most rows (n, K) predict, and those of any set.

    Among equal sets the more probable one wins.
    """
    numbers = np.unique(sets[sets >= 0])
    if not len(numbers):
        return np.arange(len(sets))
    votes = [(sets[shares.argmax(axis=1)] == number).sum() for number in numbers]
    totals = [shares[:, sets == number].sum() for number in numbers]
    best = numbers[np.lexsort((totals, votes))[-1]]
    return np.flatnonzero((sets == best) | (sets < 0))
