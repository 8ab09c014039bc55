"""One cycle: up along half a cosine, then down along another."""

from __future__ import annotations

import math

from pydantic import Field

from kit.kinds import Scheduler


class OneCycle(Scheduler):
    """Half a cosine up from `start` to exactly 1, then another down to `end`.

    Source: Smith & Topin 2018, "Super-Convergence"; torch.optim.lr_scheduler.OneCycleLR with cosine annealing.
    """

    warmup: float = Field(0.3, gt=0, lt=1, description="fraction of the run's steps with a rising rate")
    start: float = Field(0.04, ge=0, le=1, description="factor at the start; 1/25 as in fastai and torch")
    end: float = Field(4e-6, ge=0, le=1, description="factor at the end; 1/250,000 as in torch")

    def factor(self, progress: float) -> float:
        if progress < self.warmup:
            return _between(self.start, 1.0, progress / self.warmup)
        return _between(1.0, self.end, (progress - self.warmup) / (1 - self.warmup))


def _between(start: float, end: float, done: float) -> float:
    """Returns half a cosine from start to end."""
    return end + (start - end) * (1 + math.cos(math.pi * done)) / 2
