"""ArcFace whose margin is larger for rarer classes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pydantic import Field

from kit.kinds import bound_field
from kit.plugins.loss._device_tensors import device_tensor
from kit.plugins.loss._margin import Margin, angular

if TYPE_CHECKING:
    from torch import Tensor


class AdaptiveArcface(Margin):
    """ArcFace with a margin per class: low + (high - low) * minmax(count^-power).

    Counts of 1, 10, 100 and 1000 give .500, .2605, .1258 and .050. If all classes have the same count, or the
    counts are unknown, every margin is the middle of low and high.

    Source: Ha et al. 2020, "Google Landmark Recognition 2020 Competition Third Place Solution", section 2.2.
    """

    low: float = Field(0.05, ge=0, lt=math.pi / 2, description="margin of the most frequent class, radians")
    high: float = Field(0.5, ge=0, lt=math.pi / 2, description="margin of the rarest class in radians")
    power: float = Field(0.25, gt=0, le=2, description="how fast the margin falls with the count")
    counts: tuple[int, ...] = bound_field()

    def margins(self, classes: int) -> list[float]:
        """Returns the margin of each class in radians."""
        raw = [max(count, 1) ** -self.power for count in self.counts or (1,) * classes]
        least, most = min(raw), max(raw)
        if most == least:
            return [(self.low + self.high) / 2] * classes
        return [self.low + (self.high - self.low) * (value - least) / (most - least) for value in raw]

    def marginal(self, cosines: Tensor, labels: Tensor) -> Tensor:
        count = cosines.shape[1]
        margins = device_tensor(self, f"margins {count}", cosines.device, lambda: self.margins(count))
        return angular(cosines, labels, margins[labels][:, None])
