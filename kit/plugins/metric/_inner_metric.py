"""The base of metrics that score by one inner metric."""

from __future__ import annotations

from pydantic import Field

from kit.kinds import Metric
from kit.plugins.metric.accuracy import Accuracy


class InnerMetric(Metric):
    """A metric whose scores are those of `of`, or means of them, so it has the same limits and direction."""

    of: Metric = Field(Accuracy(), description="the inner metric")

    @property
    def higher_is_better(self) -> bool:  # type: ignore[override]
        """The inner metric's direction."""
        return self.of.higher_is_better

    @property
    def limits(self) -> tuple[float, float]:  # type: ignore[override]
        """The inner metric's limits."""
        return self.of.limits
