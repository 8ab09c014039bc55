"""Pooled features as `kit embed` caches them and as a head on them receives them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from kit.kinds import Pooling
from kit.plugins.pooling.average import Average

if TYPE_CHECKING:
    from torch import nn


class Standardised(Pooling):
    """The vector of `base` at length 1, minus a mean, times a scale. `kit merge` sets both, and they do not train.

    Until then the mean is 0 and the scale is 1.

    Source: scikit-learn's Normalizer and StandardScaler, one after the other.
    """

    base: Pooling = Field(Average(), description="the pooling before it")
    features: int | None = Field(
        None, ge=1, description="length of the vector; null: one mean and scale for all features"
    )

    def build(self) -> nn.Module:
        from kit.plugins.pooling._spatial import UnitStandardised

        return UnitStandardised(self.base.build(), self.features or 1)
