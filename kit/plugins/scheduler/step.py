"""A learning rate that decreases in steps."""

from __future__ import annotations

from pydantic import Field

from kit.kinds import Scheduler


class Step(Scheduler):
    """Multiplied by `decay` at each milestone, after a linear warm-up.

    Source: He et al. 2016, "Deep Residual Learning", section 3.4; torch.optim.lr_scheduler.MultiStepLR.
    """

    milestones: tuple[float, ...] = Field((0.5, 0.75), description="shares of the run's steps")
    decay: float = Field(0.1, gt=0, lt=1, description="what the rate is multiplied by at each")
    warmup: float = Field(0.0, ge=0, lt=1, description="share of the run's steps")

    def factor(self, progress: float) -> float:
        if progress < self.warmup:
            return progress / self.warmup
        return float(self.decay ** sum(progress > milestone for milestone in self.milestones))
