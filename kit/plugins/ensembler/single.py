"""Single: the member with the best out-of-fold score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Self

import numpy as np
from pydantic import Field

from kit.core.arrays import Probabilities, Targets
from kit.errors import ConfigError
from kit.evaluation.hill_climbing import climb
from kit.kinds import Ensembler, Metric
from kit.plugins.ensembler._weights import metric_or_usual


class Single(Ensembler):
    """The member with the best out-of-fold score. If several are equal, the first.

    Source: selection by cross-validation, Stone 1974, "Cross-Validatory Choice and Assessment".
    """

    label_kinds = ("class_index", "multi_hot", "numbers", "soft", "several")
    fitted: ClassVar[bool] = True

    metric: Metric | None = Field(None, description="metric of the choice; null: the competition's")
    member: int = Field(0, ge=0, description="fitted, do not set: index of the member, from 0")

    def fit(self, members: Probabilities, truth: Targets) -> Self:
        costs = climb(metric_or_usual(self.metric, members, truth, self.target), members, truth).costs()
        return self.model_copy(update={"member": int(costs.argmin())})

    def blend(self, members: Probabilities) -> Probabilities:
        if self.member >= len(members):
            raise ConfigError(f"member {self.member} of {len(members)}, counted from 0", code="C21")
        return self.normalise(members[self.member].astype(np.float64))

    def find_used(self, count: int) -> tuple[int, ...]:
        return (self.member,) if self.member < count else super().find_used(count)

    def restrict(self, places: Sequence[int]) -> Self:
        return self.model_copy(update={"member": list(places).index(self.member)})
