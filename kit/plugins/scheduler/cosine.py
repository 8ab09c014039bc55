"""A linear warm-up, then half a cosine down to the floor."""

from __future__ import annotations

import math

from pydantic import Field

from kit.kinds import Scheduler


class Cosine(Scheduler):
    """Linear warm-up to exactly 1, then a cosine down to the floor.

    Source: Loshchilov & Hutter 2017, "SGDR", equation 5; warm-up: Goyal et al. 2017, section 2.2.
    """

    warmup: float = Field(0.1, ge=0, lt=1, description="fraction of the run's steps with warm-up")
    floor: float = Field(0.0, ge=0, le=1, description="factor at the end of the run")

    def factor(self, progress: float) -> float:
        if progress < self.warmup:
            return progress / self.warmup
        fallen = (progress - self.warmup) / (1 - self.warmup)
        return self.floor + (1 - self.floor) * (1 + math.cos(math.pi * fallen)) / 2
