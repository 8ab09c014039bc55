"""The base of ensemblers with one weight per member."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from typing import Self

import numpy as np
from pydantic import Field, field_validator

from kit.core.arrays import Probabilities, Targets
from kit.errors import ConfigError, InvalidError
from kit.kinds import Ensembler, Metric, Target
from kit.kinds.score_context import ScoreContext
from kit.kinds.targets import ONE_CLASS


class WeightedMean(Ensembler):
    """Mean of the members' probabilities with weights, which are scaled to sum 1.

    Raises ConfigError if the number of weights is not the number of members.
    """

    label_kinds = ("class_index", "multi_hot", "numbers", "soft", "several")

    weights: tuple[float, ...] = Field((), description="fitted, do not set: one weight per member, in order")

    @field_validator("weights")
    @classmethod
    def _some_weight(cls, weights: tuple[float, ...]) -> tuple[float, ...]:
        if weights and (min(weights) < 0 or sum(weights) == 0):
            raise ValueError("weights are 0 or more, and one is above 0")
        return weights

    def blend(self, members: Probabilities) -> Probabilities:
        weights = np.asarray(self.weights or [1.0] * len(members))
        if len(weights) != len(members):
            raise ConfigError(
                f"{len(weights)} weights for {len(members)} members",
                code="C21",
                hint=f"ensembler.weights={[1] * len(members)}",
            )
        blended = np.zeros(members.shape[1:])
        for weight, member in zip(weights / math.fsum(weights), members, strict=True):
            if weight:
                blended += weight * member.astype(
                    np.float64
                )  # one at a time: all of them in float64 are twice as large
        return self.normalise(blended)

    def find_used(self, count: int) -> tuple[int, ...]:
        if len(self.weights) != count:
            return super().find_used(count)
        return tuple(index for index, weight in enumerate(self.weights) if weight)

    def restrict(self, places: Sequence[int]) -> Self:
        weights = [self.weights[index] for index in places] if self.weights else []
        return self.model_copy(update={"weights": tuple(weights)})


def metric_or_usual(
    metric: Metric | None, members: Probabilities, truth: Targets, target: Target = ONE_CLASS
) -> Metric:
    """Returns the metric that a recipe has, by its option or by its competition.

    Without a metric it is the usual one, such as log loss; also for rows that the metric cannot score, such
    as a fold of one class.
    """
    if metric is not None:
        with suppress(InvalidError):
            metric.score(truth, members[0])
            return metric
    return Metric.open(target.usual_metrics[0]).with_known(context=ScoreContext(target=target))
