"""A learning rate that decreases as a power of the remaining steps."""

from __future__ import annotations

from pydantic import Field

from kit.kinds import Scheduler


class Polynomial(Scheduler):
    """Linear warm-up, then (1 - progress)^power down to the floor. Power 1 is a line.

    Source: Liu et al. 2015, "ParseNet", section 4 (the poly policy); torch.optim.lr_scheduler.PolynomialLR.
    """

    power: float = Field(
        0.9, gt=0, le=10, description="exponent; 1 is linear, higher values fall faster at first"
    )
    warmup: float = Field(0.05, ge=0, lt=1, description="fraction of the run's steps with warm-up")
    floor: float = Field(0.0, ge=0, le=1, description="factor at the end of the run")

    def factor(self, progress: float) -> float:
        if progress < self.warmup:
            return progress / self.warmup
        left = max(1 - (progress - self.warmup) / (1 - self.warmup), 0.0)
        return float(self.floor + (1 - self.floor) * left**self.power)
