"""Weighted: the mean of the members' probabilities with weights that the user gives."""

from __future__ import annotations

from pydantic import Field

from kit.plugins.ensembler._weights import WeightedMean


class Weighted(WeightedMean):
    """Mean of the members' probabilities with given weights, normalised to sum 1.

    Raises ConfigError if the number of weights is not the number of members.

    Source: the linear opinion pool, Genest and Zidek 1986, "Combining Probability Distributions", section 3.
    """

    weights: tuple[float, ...] = Field(
        (), description="one weight of 0 or more per member, in order; by default all equal"
    )
