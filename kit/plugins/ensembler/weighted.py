"""Weighted: the mean of the members' probabilities with weights that the user gives."""

from __future__ import annotations

import numpy as np
from pydantic import Field, field_validator

from kit.errors import ConfigError
from kit.kinds import Ensembler


class Weighted(Ensembler):
    """Mean of the members' probabilities with given weights, which are made to sum to 1.

    Raises ConfigError where there are not as many weights as members.

    Source: the linear opinion pool, Genest and Zidek 1986, "Combining Probability Distributions", section 3.
    """

    weights: tuple[float, ...] = Field(
        (), description="a weight a member, none below 0, in the order of the members; none given: all equal"
    )

    @field_validator("weights")
    @classmethod
    def _some_weight(cls, weights: tuple[float, ...]) -> tuple[float, ...]:
        if weights and (min(weights) < 0 or sum(weights) == 0):
            raise ValueError("weights are 0 or more, and one is above 0")
        return weights

    def blend(self, members: np.ndarray) -> np.ndarray:
        weights = np.asarray(self.weights or [1.0] * len(members))
        if len(weights) != len(members):
            raise ConfigError(
                f"{len(weights)} weights for {len(members)} members",
                code="C21",
                hint=f"ensembler.weights={[1] * len(members)}",
            )
        blended = np.tensordot(weights / weights.sum(), members.astype(np.float64), axes=1)
        return blended / blended.sum(axis=1, keepdims=True)
