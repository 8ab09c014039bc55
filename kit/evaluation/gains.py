"""Gains: by how much one prediction is better than another, and whether that is shown."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from kit.kinds import Metric

INTERVAL_PERCENT = 95  # per cent of the draws lie within an interval
ROUNDING = 1e-9  # sums of the same members in another order differ by less
DEFINED = 0.5  # share of the draws that must have a score

T = TypeVar("T", bound=Hashable)


@dataclass(frozen=True)
class Gain:
    """How much better a score is than that of `over`, above 0 whatever the metric; the interval of the bootstrap.

    `low` and `high` are None where the metric has a score in too few draws.
    """

    over: str
    value: float
    low: float | None
    high: float | None

    @property
    def is_significant(self) -> bool:
        """Whether the whole interval is above 0."""
        return self.low is not None and self.low > ROUNDING


def gain(
    metric: Metric, over: str, score: float, base: float, drawn: np.ndarray, drawn_base: np.ndarray
) -> Gain:
    """The gain of a score over a base, with what both became in the same draws (draws,)."""
    sign = 1.0 if metric.higher_is_better else -1.0
    differences = sign * (drawn - drawn_base)
    kept = differences[np.isfinite(differences)]
    value = sign * (score - base)
    if len(kept) < DEFINED * len(differences) or not len(kept):
        return Gain(over, value, None, None)
    low, high = np.percentile(kept, [(100 - INTERVAL_PERCENT) / 2, (100 + INTERVAL_PERCENT) / 2])
    return Gain(over, value, float(low), float(high))


def simplest_not_worse(names: Sequence[T], better: Mapping[tuple[T, T], bool]) -> T:
    """Of names from the simplest on, the first that no later one is shown to be better than.

    `better[later, earlier]` says whether the later one's gain over the earlier is shown.
    """
    return next(
        name
        for place, name in enumerate(names)
        if not any(better[later, name] for later in names[place + 1 :])
    )
