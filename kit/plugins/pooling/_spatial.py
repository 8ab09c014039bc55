"""The modules of the poolings: both feature maps and tokens are taken as positions."""

from __future__ import annotations

import torch
from torch import Tensor, nn

MIN_ACTIVATION = 1e-6  # a power of zero has an infinite gradient


def positions(features: Tensor) -> Tensor:
    """Returns (N, C, h, w) or (N, T, C) as (N, C, positions)."""
    return features.flatten(2) if features.dim() == 4 else features.transpose(1, 2)


class SpatialMean(nn.Module):
    """(N, C, h, w) or (N, T, C) to the mean over positions, (N, C)."""

    def forward(self, features: Tensor) -> Tensor:
        return features.mean((2, 3)) if features.dim() == 4 else features.mean(1)


class SpatialGeneralisedMean(nn.Module):
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
            values = positions(features.float()).clamp(min=MIN_ACTIVATION)
            return values.pow(self.power).mean(-1).pow(1 / self.power)


class SpatialMax(nn.Module):
    """(N, C, h, w) or (N, T, C) to the maximum over positions, (N, C)."""

    def forward(self, features: Tensor) -> Tensor:
        return positions(features).amax(-1)


class SpatialMeanAndMax(nn.Module):
    """(N, C, h, w) or (N, T, C) to half the sum of mean and maximum over positions, (N, C)."""

    def forward(self, features: Tensor) -> Tensor:
        values = positions(features)
        return (values.mean(-1) + values.amax(-1)) / 2


class SpatialAttention(nn.Module):
    """(N, C, h, w) or (N, T, C) to a mean over positions weighted by a softmax of learned scores, (N, C)."""

    def __init__(self) -> None:
        super().__init__()
        self.score = nn.LazyLinear(1)

    def forward(self, features: Tensor) -> Tensor:
        if isinstance(self.score, nn.LazyLinear) and self.score.has_uninitialized_params():
            self.score(features.new_zeros(1, positions(features).shape[1], dtype=torch.float32))
            nn.init.zeros_(self.score.weight)
            nn.init.zeros_(self.score.bias)
        with torch.autocast(features.device.type, enabled=False):
            values = positions(features.float()).transpose(1, 2)
            shares = self.score(values).softmax(1)
            pooled: Tensor = (shares * values).sum(1)
            return pooled


class UnitStandardised(nn.Module):
    """(v / |v| - mean) * scale for the vector v of another pooling, (N, C), in float32."""

    mean: Tensor
    scale: Tensor

    def __init__(self, base: nn.Module, features: int) -> None:
        super().__init__()
        self.base = base
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("scale", torch.ones(features))

    def forward(self, features: Tensor) -> Tensor:
        vectors = nn.functional.normalize(self.base(features).float(), dim=1)
        return (vectors - self.mean) * self.scale
