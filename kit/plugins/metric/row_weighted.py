"""Row weighted: any metric of weighted rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

import numpy as np
from pydantic import Field, model_validator

from kit.core.arrays import Probabilities, Targets
from kit.errors import InvalidError
from kit.kinds import Metric
from kit.kinds.metric_shortcuts import FromTrueClassProbability, scores_by_weights, true_class_probability
from kit.kinds.targets import LabelKind
from kit.plugins.metric._inner_metric import InnerMetric
from kit.plugins.metric.accuracy import Accuracy


class RowWeighted(InnerMetric):
    """The score of `of` with each row counted by its weight in the column that `data.weight` names.

    A row of weight 2 counts as two rows. Raises InvalidError if all weights are 0.

    Source: sample_weight of scikit-learn's metrics; Camera Model Identification weighs altered images 0.3, others 0.7.
    """

    label_kinds = ("class_index", "multi_hot", "numbers", "soft", "several")
    wants = ("weights",)

    of: Metric = Field(Accuracy(), description="the metric whose rows are weighted")

    @model_validator(mode="after")
    def _takes_weights(self) -> Self:
        if not can_weigh_rows(self.of):
            raise ValueError(
                f"metric {self.of.plugin_name()!r} cannot weigh rows: it has no score_by_weights"
            )
        return self

    def takes_labels(self, labels: LabelKind) -> bool:
        return self.of.takes_labels(labels)

    def score(self, truth: Targets, probabilities: Probabilities) -> float:
        return self.score_by_weights(truth, probabilities)(np.ones(len(truth)))

    def score_by_weights(self, truth: Targets, probabilities: Probabilities) -> Callable[[np.ndarray], float]:
        own = self.context.weights
        rows = np.ones(len(truth)) if own is None else own
        score = self._score_of(truth, probabilities)

        def score_rows(weights: np.ndarray) -> float:
            both = weights * rows
            if not both.any():
                raise InvalidError("all rows have the weight 0", code="D45")
            return score(both)

        return score_rows

    def _score_of(self, truth: Targets, probabilities: Probabilities) -> Callable[[np.ndarray], float]:
        if scores_by_weights(self.of):
            return self.of.score_by_weights(truth, probabilities)
        assert isinstance(self.of, FromTrueClassProbability)
        values = (
            self.of.of_true(true_class_probability(truth, probabilities)).reshape(len(truth), -1).mean(axis=1)
        )
        return lambda weights: float(np.average(values, weights=weights))


def can_weigh_rows(metric: Metric) -> bool:
    """Whether `row_weighted` can score by the metric."""
    return scores_by_weights(metric) or isinstance(metric, FromTrueClassProbability)
