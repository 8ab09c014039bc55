"""The same learning rate throughout, after an optional warm-up."""

from __future__ import annotations

from pydantic import Field

from kit.kinds import Scheduler


class Constant(Scheduler):
    """Constant at 1 after a linear warm-up.

    Source: Goyal et al. 2017, "Accurate, Large Minibatch SGD", section 2.2 (gradual warm-up).
    """

    warmup: float = Field(0.0, ge=0, lt=1, description="fraction of the run's steps with warm-up")

    def factor(self, progress: float) -> float:
        return min(progress / self.warmup, 1.0) if self.warmup else 1.0
