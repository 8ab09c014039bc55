"""Contract tests of schedulers."""

from __future__ import annotations

import math

from kit.kinds import Scheduler

STEPS = 1000


def law_factors_lie_between_zero_and_one(scheduler: Scheduler) -> None:
    """Every factor is finite, from 0 to 1."""
    factors = [scheduler.factor((step + 1) / STEPS) for step in range(STEPS)]
    wrong = [value for value in factors if not (math.isfinite(value) and -1e-12 <= value <= 1 + 1e-12)]
    assert not wrong, f"{len(wrong)} of {STEPS} factors are not, such as {wrong[:1]}"


def law_the_peak_is_reached(scheduler: Scheduler) -> None:
    """At some step of a thousand the peak learning rate is reached to within 2 %."""
    highest = max(scheduler.factor((step + 1) / STEPS) for step in range(STEPS))
    assert highest > 0.98, f"the highest factor is {highest}"
