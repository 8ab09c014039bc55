"""Level heads: a classifier of the classes and one of each level of their parents, on shared features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import Field

from kit.kinds import Classes, bound_field
from kit.kinds.levels import Level
from kit.plugins.loss._levels import check_levels
from kit.plugins.loss.factors import Factors

if TYPE_CHECKING:
    from torch import Tensor


class LevelHeads(Factors):
    """The weighted mean of the base's loss of the class and of its parents, each with its own columns of the outputs.

    Outputs are (N, classes + parents of all levels). A class's probability is its own times those of its parents, over
    the sum for all classes. A parent's probability is then the sum of its classes, so predictions of all levels agree.
    The levels are those of `data.parents` or `data.parent_list`. Raises ConfigError C08 if there are none, C47 for a
    weight of an unknown level.

    Source: family, genus and species classifiers of the first place of Herbarium 2022; the product takes the levels as
    independent given the image.
    """

    weights: Mapping[str, Annotated[float, Field(ge=0)]] = Field(
        {}, description="weights of levels by name, by default 1; the class itself has the weight 1"
    )
    levels: tuple[Level, ...] = bound_field()

    def with_classes(self, classes: Classes) -> Self:
        check_levels("level_heads", classes.levels, self.weights)
        values = tuple(zip(classes.names, *(level.parents for level in classes.levels), strict=True))
        bound = super().with_classes(replace(classes, factors=values))
        return bound.model_copy(update={"levels": classes.levels})

    def rows(self, outputs: Tensor, labels: Tensor) -> Tensor:
        weights = [1.0, *(self.weights.get(level.name, 1.0) for level in self.levels)]
        costs = outputs.new_zeros(len(outputs))
        parts = zip(weights, self.bases, self._split(outputs), self._numbers(outputs), strict=True)
        for weight, base, given, number in parts:
            if weight:
                costs = costs + weight * base.rows(given, number[labels])
        return costs / sum(weights)
