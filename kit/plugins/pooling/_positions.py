"""The modules behind the poolings: both feature maps and tokens are taken as positions."""

from __future__ import annotations

import torch
from torch import Tensor, nn

FLOOR = 1e-6  # a power of zero has an infinite gradient


def positions(features: Tensor) -> Tensor:
    """(N, C, h, w) or (N, T, C) as (N, C, positions)."""
    return features.flatten(2) if features.dim() == 4 else features.transpose(1, 2)


class Mean(nn.Module):
    """(N, C, h, w) or (N, T, C) to the mean over positions, (N, C)."""

    def forward(self, features: Tensor) -> Tensor:
        return features.mean((2, 3)) if features.dim() == 4 else features.mean(1)


class GeneralisedMean(nn.Module):
    """(mean(max(x, 1e-6)^p))^(1/p) over positions; float32 under AMP, as 41^3 overflows float16."""

    def __init__(self, power: float, learned: bool) -> None:
        super().__init__()
        value = torch.tensor(power)
        if learned:
            self.power = nn.Parameter(value)
        else:
            self.register_buffer("power", value)

    def forward(self, features: Tensor) -> Tensor:
        with torch.autocast(features.device.type, enabled=False):
            values = positions(features.float()).clamp(min=FLOOR)
            return values.pow(self.power).mean(-1).pow(1 / self.power)
