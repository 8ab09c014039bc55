"""Level: any metric of the parents of the classes, such as the genus or the family."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Self

import numpy as np
from pydantic import Field

from kit.core.arrays import Probabilities, Targets
from kit.errors import ConfigError, did_you_mean
from kit.kinds import Metric
from kit.kinds.levels import Level, above
from kit.kinds.metric_shortcuts import SupportsRowWeights, scores_by_weights
from kit.kinds.score_context import ScoreContext
from kit.plugins.metric._inner_metric import InnerMetric
from kit.plugins.metric.accuracy import Accuracy


class MetricOfLevel(InnerMetric):
    """The score of `of` for the parents of the classes: a parent's probability is the sum of its classes.

    The parents are those of `data.parents` or `data.parent_list`. The inner metric knows their names as classes. Each
    row has one class, or shares of classes, which are added up too.

    Source: any metric on labels and probabilities that are mapped to the parents, such as sklearn.metrics.f1_score.
    """

    label_kinds = ("class_index", "soft")
    wants = ("classes", "levels")

    of: Metric = Field(Accuracy(), description="the metric of the parents")
    level: str = Field(
        "", description="the level of the parents, such as family; by default the one nearest to the classes"
    )

    def with_known(self, **values: Any) -> Self:
        """Returns a copy whose inner metric knows the parents as its classes."""
        bound = super().with_known(**values)
        context = values.get("context")
        if not isinstance(context, ScoreContext) or self._find_level(context) is None:
            return bound
        level = self._find_level(context)
        assert level is not None
        parents = replace(context, classes=level.nodes, superclasses=(), levels=above(context.levels, level))
        return bound.model_copy(update={"of": self.of.with_known(**{**values, "context": parents})})

    def check_context(self) -> None:
        if self.context.levels:
            self._require_level()
        super().check_context()

    def excluded_shortcuts(self) -> tuple[type, ...]:
        return () if scores_by_weights(self.of) else (SupportsRowWeights,)

    def score(self, truth: Targets, probabilities: Probabilities) -> float:
        return self.of.score(*self._to_parents(truth, probabilities))

    def score_by_weights(self, truth: Targets, probabilities: Probabilities) -> Callable[[np.ndarray], float]:
        assert scores_by_weights(self.of)
        return self.of.score_by_weights(*self._to_parents(truth, probabilities))

    def _to_parents(self, truth: Targets, probabilities: Probabilities) -> tuple[Targets, Probabilities]:
        level = self._require_level()
        parents = level.sum_children(truth) if truth.ndim == 2 else np.asarray(level.numbers)[truth]
        return parents, level.sum_children(probabilities)

    def _find_level(self, context: ScoreContext) -> Level | None:
        return next((level for level in context.levels if self.level in ("", level.name)), None)

    def _require_level(self) -> Level:
        """Returns the level. Raises ConfigError C47 if the classes have none of that name."""
        known_level = self._find_level(self.context)
        if known_level is not None:
            return known_level
        names = [level.name for level in self.context.levels]
        if not names:
            raise ConfigError(
                "metric 'level' needs parents of the classes, and the config names none",
                code="C47",
                hint="data.parents=COLUMN",
            )
        raise ConfigError(
            f"metric.level: the classes have no level {self.level!r}{did_you_mean(self.level, names)}",
            code="C47",
            hint=f"the levels: {', '.join(names)}",
        )
