"""A learning rate that decreases in steps."""

from __future__ import annotations

from pydantic import Field

from kit.kinds import Scheduler


class Step(Scheduler):
    """Multiplied by `decay` at each milestone, after a linear warm-up.

    Source: He et al. 2016, "Deep Residual Learning", section 3.4; torch.optim.lr_scheduler.MultiStepLR.
    """

    milestones: tuple[float, ...] = Field(
        (0.5, 0.75), description="fractions of the run at which the rate drops"
    )
    decay: float = Field(0.1, gt=0, lt=1, description="factor of the rate at each milestone")
    warmup: float = Field(0.0, ge=0, lt=1, description="fraction of the run's steps with warm-up")

    def factor(self, progress: float) -> float:
        if progress < self.warmup:
            return progress / self.warmup
        return float(self.decay ** sum(progress > milestone for milestone in self.milestones))
