"""Greedy: adds members one by one, each once, while their mean improves. It chooses views for kit tta."""

from __future__ import annotations

from typing import ClassVar, Self

import numpy as np
from pydantic import Field

from kit.core.arrays import Probabilities, Targets
from kit.evaluation.hill_climbing import climb
from kit.kinds import LabelKind, Metric, Target
from kit.kinds.score_context import ScoreContext
from kit.kinds.several_target import SeveralTarget
from kit.kinds.targets import PLAIN_TARGETS
from kit.plugins.ensembler._weights import WeightedMean
from kit.plugins.metric.log_loss import LogLoss


class Greedy(WeightedMean):
    """Plain mean of the members that forward selection without replacement finds.

    It starts with the best member and adds the one that improves the mean most, until no member improves it
    by `min_gain`. Log loss is finer than a metric of decisions, and chooses better on few rows. For numbers
    the default is RMSE.

    Source: Molchanov et al. 2020, "Greedy Policy Search: A Simple Baseline for Learnable Test-Time Augmentation",
    algorithm 1, which chooses views by calibrated log-likelihood.
    """

    fitted: ClassVar[bool] = True

    metric: Metric = Field(LogLoss(), description="metric that an added member must improve")
    min_gain: float = Field(1e-9, ge=0, description="minimum gain of an added member")

    def takes_labels(self, labels: LabelKind) -> bool:
        return labels in self.label_kinds and self._metric(
            PLAIN_TARGETS.get(labels, SeveralTarget())
        ).takes_labels(labels)

    def fit(self, members: Probabilities, truth: Targets) -> Self:
        sums = climb(self._metric(self.target), members, truth)
        chosen: list[int] = []
        left, cost = list(range(len(members))), np.inf
        while left:
            costs_with = sums.costs(which=left)
            index = int(costs_with.argmin())
            if chosen and costs_with[index] > cost - self.min_gain:
                break
            cost = float(costs_with[index])
            chosen.append(left.pop(index))
            sums.add(chosen[-1])
        weights = tuple(float(member in chosen) for member in range(len(members)))
        return self.model_copy(update={"weights": weights})

    def _metric(self, target: Target) -> Metric:
        """Returns the metric. If predictions are not probabilities of classes, it is the usual metric instead
        of log loss.
        """
        usual = target.usual_metrics[0]
        if self.metric != LogLoss() or usual == "log_loss":
            return self.metric
        return Metric.open(usual).with_known(context=ScoreContext(target=target))
