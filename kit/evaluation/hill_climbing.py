"""Climbing: the score of a sum of members after adding one more, computed quickly if the metric allows it.

Costs are scores with a sign such that lower is better. Members are read row by row and never copied as a
whole, so they may be a memory map.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np

from kit.core.arrays import Probabilities, Targets
from kit.kinds import Metric
from kit.kinds.metric_shortcuts import (
    FromConfusionMatrix,
    FromTrueClassProbability,
    confusion,
    score_decisions,
    scores_confusion,
    scores_true_class,
)

BLOCK_ROWS = 4096  # at a time: a block of float64 sums of 18 classes fits into a core's cache
COST_TOLERANCE = 1e-6  # rows this near to a change are checked, because float32 values are rounded

T = TypeVar("T")


def in_threads(work: Callable[[int], T], jobs: Sequence[int], rows: int) -> list[T]:
    """Returns `work` of every job, in order, on all cores if there are enough rows; numpy releases the lock."""
    threads = min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1, len(jobs))
    if threads < 2 or rows < BLOCK_ROWS:
        return [work(job) for job in jobs]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, jobs))


def climb(metric: Metric, members: Probabilities, truth: Targets) -> Climb:
    """Returns an empty sum of the members (M, N, K), scored by the quickest way of the metric."""
    quickest: type[Climb] = Climb
    if truth.ndim == 1 and scores_confusion(metric):
        quickest = DecisionClimb
    elif truth.ndim == 1 and scores_true_class(metric):
        quickest = TrueClassClimb
    return quickest(metric, members, truth)


class Climb:
    """A sum of members, and the metric's score of it with one more, for any metric."""

    def __init__(self, metric: Metric, members: Probabilities, truth: Targets) -> None:
        self.metric, self.members, self.truth = metric, members, truth
        self.sign = -1.0 if metric.higher_is_better else 1.0
        self._start()

    def _start(self) -> None:
        self.sums = np.zeros(self.members.shape[1:])
        self.weight = 0.0

    def add(self, member: int, share: float = 1.0) -> None:
        """Adds a share of a member to the sum."""
        self.sums += share * self.members[member].astype(np.float64)
        self.weight += share

    def costs(self, share: float = 1.0, which: Sequence[int] | None = None) -> np.ndarray:
        """Returns the cost of the sum with an added share of each member, for all or for `which`."""
        jobs = range(len(self.members)) if which is None else which
        return np.array([self._cost_with(member, share) for member in jobs])

    def _cost_with(self, member: int, share: float) -> float:
        blended = self.sums + np.float64(share) * self.members[member]
        # rows that may have several labels do not sum to 1
        blended /= self.weight + share if self.truth.ndim == 2 else blended.sum(axis=1, keepdims=True)
        return self.sign * self.metric.score(self.truth, blended)


class DecisionClimb(Climb):
    """The climb for metrics of decisions: only the largest sum of each row counts, and a member changes few decisions.

    `ahead` is the lead of a row's largest sum over the others. A member can change the decision only if its
    own largest probability exceeds the one that it gives to the leader by at least the lead. Only such rows
    are summed. The result is exact, except for the order in which float64 sums are rounded.
    """

    metric: FromConfusionMatrix  # type: ignore[assignment]

    def _start(self) -> None:
        super()._start()
        self.classes = self.members.shape[2]
        self.tops = np.empty(self.members.shape[:2], dtype=self.members.dtype)
        for member, top in zip(self.members, self.tops, strict=True):
            member.max(axis=1, out=top)
        self.reach = self.tops.max(axis=0)
        self.lead = np.zeros(len(self.truth), dtype=np.int64)
        self.ahead = np.zeros(len(self.truth))

    def add(self, member: int, share: float = 1.0) -> None:
        for start in range(0, len(self.truth), BLOCK_ROWS):
            rows = slice(start, start + BLOCK_ROWS)
            sums = self.sums[rows]
            sums += np.float64(share) * self.members[member, rows]
            self.lead[rows] = sums.argmax(axis=1)
            if self.classes > 1:
                two = np.partition(sums, self.classes - 2, axis=1)[:, -2:]
                self.ahead[rows] = two[:, 1] - two[:, 0]

    def costs(self, share: float = 1.0, which: Sequence[int] | None = None) -> np.ndarray:
        jobs = range(len(self.members)) if which is None else which
        begun = bool(self.sums.any())
        near = np.flatnonzero(self.ahead <= abs(share) * self.reach + COST_TOLERANCE)
        if self.classes**2 > len(self.truth):
            return np.array(in_threads(lambda m: self._whole(m, share, near, begun), jobs, len(self.truth)))
        settled = confusion(self.truth, self.lead, self.classes)

        def cost(member: int) -> float:
            rows = near if not begun else near[self._may_turn(member, share, near)]
            turned = confusion(self.truth[rows], self._decide(member, share, rows), self.classes)
            turned -= confusion(self.truth[rows], self.lead[rows], self.classes)
            return self.sign * self.metric.of_confusion(settled + turned)

        return np.array(in_threads(cost, jobs, len(self.truth)))

    def _whole(self, member: int, share: float, near: np.ndarray, begun: bool) -> float:
        """Returns the cost by all rows' decisions.

        If there are many classes, a confusion matrix is larger than those.
        """
        rows, decisions = near if not begun else near[self._may_turn(member, share, near)], self.lead.copy()
        decisions[rows] = self._decide(member, share, rows)
        return self.sign * score_decisions(self.metric, self.truth, decisions, self.classes)

    def _may_turn(self, member: int, share: float, rows: np.ndarray) -> np.ndarray:
        """Returns whether a share of the member, added or removed, could change the decision of these rows."""
        of_leader = self.members[member].reshape(-1).take(rows * self.classes + self.lead[rows])
        change = share * (self.tops[member, rows] - of_leader) if share > 0 else -share * of_leader
        close: np.ndarray = change >= self.ahead[rows] - COST_TOLERANCE
        return close

    def _decide(self, member: int, share: float, rows: np.ndarray) -> np.ndarray:
        """Returns the class that the sum with an added share of the member gives these rows."""
        decisions = np.empty(len(rows), dtype=np.int64)
        for start in range(0, len(rows), BLOCK_ROWS):
            at = slice(start, start + BLOCK_ROWS)
            total = self.members[member].take(rows[at], axis=0) * np.float64(share)
            total += self.sums.take(rows[at], axis=0)
            total.argmax(axis=1, out=decisions[at])
        return decisions


class TrueClassClimb(Climb):
    """The climb for metrics of the true class's probability: one number of each row counts, and its row's sum."""

    metric: FromTrueClassProbability  # type: ignore[assignment]

    def _start(self) -> None:
        rows = np.arange(len(self.truth))
        self.true = np.empty(self.members.shape[:2], dtype=self.members.dtype)
        self.over = np.empty(
            self.members.shape[:2], dtype=np.float32
        )  # excess of a row's sum above 1: almost 0
        for index, member in enumerate(self.members):
            self.true[index] = member[rows, self.truth]
            self.over[index] = member.sum(axis=1, dtype=np.float64) - 1
        self.sum_true, self.sum_whole = np.zeros(len(rows)), np.zeros(len(rows))

    def add(self, member: int, share: float = 1.0) -> None:
        self.sum_true += share * self.true[member].astype(np.float64)
        self.sum_whole += share * (1 + self.over[member].astype(np.float64))

    def costs(self, share: float = 1.0, which: Sequence[int] | None = None) -> np.ndarray:
        def cost(member: int) -> float:
            total = 0.0
            for start in range(0, len(self.truth), 4 * BLOCK_ROWS):
                at = slice(start, start + 4 * BLOCK_ROWS)
                shares = share * self.true[member, at].astype(np.float64)
                shares += self.sum_true[at]
                shares /= share * (1 + self.over[member, at].astype(np.float64)) + self.sum_whole[at]
                total += float(self.metric.of_true(shares).sum())
            return self.sign * total / len(self.truth)

        jobs = range(len(self.members)) if which is None else which
        return np.array(in_threads(cost, jobs, len(self.truth)))
