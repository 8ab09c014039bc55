"""Estimate: how many rows a rule selects and how often their labels are right, by rows with known labels.

A fold's held-out rows represent test rows: the same networks predict both, and have seen neither.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

Z = 1.959964  # of a normal distribution's middle 95 %


@dataclass(frozen=True)
class Estimate:
    """Held-out rows, those that the rule selects, and those of them that are predicted correctly; by class too."""

    rows: int
    taken: int
    right: int
    by_class: tuple[tuple[int, int], ...]  # selected and correct rows, by predicted class

    @classmethod
    def is_empty(cls, classes: int) -> Estimate:
        """Returns the estimate without rows."""
        return cls(0, 0, 0, ((0, 0),) * classes)

    def __add__(self, other: Estimate) -> Estimate:
        """Returns the estimate of the rows of both."""
        pairs = zip(self.by_class, other.by_class, strict=True)
        added = tuple((one[0] + two[0], one[1] + two[1]) for one, two in pairs)
        return Estimate(self.rows + other.rows, self.taken + other.taken, self.right + other.right, added)

    @property
    def share(self) -> float:
        """The share of selected rows."""
        return self.taken / max(self.rows, 1)

    @property
    def accuracy(self) -> float | None:
        """The share of selected rows whose label is right; None if no row is selected."""
        return self.right / self.taken if self.taken else None

    @property
    def interval(self) -> tuple[float, float]:
        """The interval of the accuracy in 95 of 100 such samples, 0 to 1 if no row is selected."""
        return wilson(self.right, self.taken)


def estimate(predicted: np.ndarray, truth: np.ndarray, taken: np.ndarray, classes: int) -> Estimate:
    """Returns the estimate from each row's predicted class, its true class, and whether the rule selects it, (N,)."""
    right = taken & (predicted == truth)
    taken_by_class, hits = (
        np.bincount(predicted[rows], minlength=classes).tolist() for rows in (taken, right)
    )
    return Estimate(
        len(predicted), int(taken.sum()), int(right.sum()), tuple(zip(taken_by_class, hits, strict=True))
    )


def wilson(right: int, of: int) -> tuple[float, float]:
    """Returns the 95 % score interval of a share. Source: Wilson 1927, "Probable Inference, the Law of Succession"."""
    if not of:
        return 0.0, 1.0
    share, square = right / of, Z * Z / of
    middle, half = share + square / 2, Z * math.sqrt(share * (1 - share) / of + square / (4 * of))
    return (middle - half) / (1 + square), (middle + half) / (1 + square)
