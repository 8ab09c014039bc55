"""Hill climb: repeatedly adds the member that improves the mean most."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Self

import numpy as np
from pydantic import Field

from kit.core.arrays import Probabilities, Targets
from kit.core.randomness import generator
from kit.evaluation.hill_climbing import climb
from kit.kinds import Metric
from kit.plugins.ensembler._weights import WeightedMean, metric_or_usual

TIE = 1e-9  # scores this close count as equal: they differ by the rounding of sums


class HillClimb(WeightedMean):
    """Greedy selection with replacement. Each round adds the member that improves the mean's score most.

    The shortest sum with the best score is used. Among equals, members already in it come first, then the
    order of the members. With `bags`, the climb is repeated over random subsets of the members and the
    weights are averaged, which overfits less.

    Source: Caruana et al. 2004, "Ensemble Selection from Libraries of Models", sections 2 and 2.3; Caruana, Munson and
    Niculescu-Mizil 2006, "Getting the Most Out of Ensemble Selection".
    """

    fitted: ClassVar[bool] = True

    metric: Metric | None = Field(None, description="metric to optimise; null: the competition's")
    rounds: int = Field(
        25, ge=1, le=1000, description="number of rounds; each adds one member, with repetition"
    )
    bags: int = Field(
        0,
        ge=0,
        le=1000,
        description="number of random subsets of the members (bags); 0: one search over all members",
    )
    bag_fraction: float = Field(0.5, gt=0, le=1, description="fraction of the members in each bag")
    seed: int = Field(0, ge=0, description="seed of the bags")

    def fit(self, members: Probabilities, truth: Targets) -> Self:
        metric, count = metric_or_usual(self.metric, members, truth, self.target), len(members)
        size = max(1, round(self.bag_fraction * count))
        counts = np.zeros(count)
        for bag in range(max(self.bags, 1)):
            rows = generator(self.seed, "bag", bag, count).permutation(count)[:size]
            which = sorted(rows.tolist()) if self.bags else range(count)
            chosen = climb_members(metric, members, truth, self.rounds, which)
            counts += np.bincount(chosen, minlength=count) / len(chosen)
        return self.model_copy(update={"weights": tuple((counts / counts.sum()).tolist())})


def climb_members(
    metric: Metric, members: Probabilities, truth: Targets, rounds: int, which: Sequence[int]
) -> list[int]:
    """Returns the members chosen round after round, up to the first round with the best score."""
    sums = climb(metric, members, truth)
    chosen: list[int] = []
    costs: list[float] = []
    for _ in range(rounds if len(which) > 1 else 1):
        costs_with = sums.costs(which=which)
        ties = [which[index] for index in np.flatnonzero(costs_with <= costs_with.min() + TIE).tolist()]
        best = next((member for member in ties if member in chosen), ties[0])
        sums.add(best)
        chosen.append(best)
        costs.append(float(costs_with.min()))
    return chosen[: next(n for n, cost in enumerate(costs, 1) if cost <= min(costs) + TIE)]
