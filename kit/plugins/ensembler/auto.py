"""Auto: the simplest ensembler that no other one beats significantly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Self

import numpy as np
from pydantic import Field

from kit.core.arrays import FoldNumbers, Probabilities, Targets
from kit.evaluation import bootstrap
from kit.evaluation.bootstrap import gain, simplest_not_worse
from kit.evaluation.competition import for_metric
from kit.evaluation.crossfit import cross_fit
from kit.kinds import Ensembler, LabelKind, Metric
from kit.plugins.ensembler._weights import metric_or_usual
from kit.plugins.ensembler.geometric import Geometric
from kit.plugins.ensembler.hill_climb import HillClimb
from kit.plugins.ensembler.mean import Mean
from kit.plugins.ensembler.simplex import Simplex
from kit.plugins.ensembler.single import Single


class Auto(Ensembler):
    """Chooses an ensembler by cross-fitted score: the simplest that no later one beats significantly.

    The candidates are ordered from the simplest. The first one is taken that no later one beats
    significantly, in a paired bootstrap over rows or groups. The choice itself is cross-fitted too, so its
    score is unbiased.

    Source: Varma and Simon 2006, "Bias in error estimation when using cross-validation for model selection"; Efron and
    Tibshirani 1993, "An Introduction to the Bootstrap", section 13.3.
    """

    label_kinds = ("class_index", "multi_hot", "numbers", "soft")
    fitted: ClassVar[bool] = True

    candidates: tuple[Ensembler, ...] = Field(
        (Single(), Mean(), Geometric(), Simplex(), HillClimb()),
        min_length=1,
        description="candidates, the simplest first; those that do not accept the table's labels are skipped",
    )
    metric: Metric | None = Field(None, description="metric of the choice; null: the competition's")
    scores: tuple[float, ...] = Field(
        (), description="fitted, do not set: cross-fitted scores of the candidates"
    )
    chosen: Ensembler | None = Field(None, description="fitted, do not set: chosen candidate")

    def takes_labels(self, labels: LabelKind) -> bool:
        return labels in self.label_kinds and any(
            candidate.takes_labels(labels) for candidate in self.candidates
        )

    def fit(self, members: Probabilities, truth: Targets) -> Self:
        return self.choose(members, truth, np.zeros(len(truth), dtype=np.int64), None)

    def choose(
        self, members: Probabilities, truth: Targets, folds: FoldNumbers, groups: np.ndarray | None
    ) -> Self:
        """Returns the recipe with the candidate that wins on these rows, cross-fitted by their folds and groups."""
        metric = metric_or_usual(self.metric, members, truth, self.target)
        able = [candidate for candidate in self.candidates if candidate.takes_labels(self.target.kind)]
        recipes = [for_metric(candidate, metric) for candidate in able]
        candidates = [
            cross_fit(candidate, members, truth, folds, groups)
            if candidate.needs_fit()
            else (candidate.blend(members), candidate)
            for candidate in recipes
        ]
        scores = [metric.score(truth, blended) for blended, _ in candidates]
        draws = bootstrap.resample_scores(metric, truth, [blended for blended, _ in candidates], groups)
        better = {
            (later, first): gain(
                metric, "", scores[later], scores[first], draws[:, later], draws[:, first]
            ).is_significant
            for later in range(len(candidates))
            for first in range(later)
        }
        index = simplest_not_worse(range(len(candidates)), better)
        return self.model_copy(
            update={"scores": tuple(scores), "chosen": candidates[index][1], "candidates": tuple(able)}
        )

    def blend(self, members: Probabilities) -> Probabilities:
        return (self.chosen or Mean().with_known(target=self.target)).blend(members)

    def find_used(self, count: int) -> tuple[int, ...]:
        return (self.chosen or Mean()).find_used(count)

    def restrict(self, places: Sequence[int]) -> Self:
        return self.model_copy(update={"chosen": self.chosen.restrict(places) if self.chosen else None})
