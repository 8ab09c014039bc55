"""Log loss: minus the mean log of the true class's probability."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from kit.core.arrays import Probabilities, Targets
from kit.errors import ConfigError, InvalidError
from kit.kinds import Metric
from kit.kinds.metric_shortcuts import FromTrueClassProbability, true_class_probability
from kit.plugins.metric._class_options import check_names, weights_of

Weight = Annotated[float, Field(ge=0)]


class LogLoss(Metric):
    """Minus the mean log of the true class's probability. Rows are normalised and clipped away from 0 and 1.

    If a row may have several labels, it is the mean over rows and classes of minus the log probability of the
    right answer, yes or no (binary cross-entropy).

    With `class_weights`, each row has the weight of its true class, and the sum is divided by the sum of
    weights. `equal` is the mean of each class's own loss. If a row may have several labels, the weights are
    those of the columns, and `positive_weight` multiplies the weight of a label that the row has. Each row's
    loss is divided by its own weights.

    Source: sklearn.metrics.log_loss, weighted by sample_weight. Column weights: RSNA Intracranial Hemorrhage; positive
    weight: RSNA 2022 Cervical Spine, as mle-bench grades it; equal: Mayo Clinic STRIP AI.
    """

    label_kinds = ("class_index", "multi_hot")
    higher_is_better: ClassVar[bool] = False
    limits = (0, math.inf)
    wants = ("classes",)

    clip: float = Field(1e-15, gt=0, lt=0.5, description="minimum distance of probabilities from 0 and 1")
    class_weights: Literal["equal"] | Mapping[str, Weight] = Field(
        {},
        description="weights of classes or columns by name, by default 1; equal: each class has the same total weight",
    )
    positive_weight: float = Field(
        1.0, gt=0, description="with several labels per row: factor of the weight of positive labels"
    )

    def check_context(self) -> None:
        classes, several = self.context.classes, self.context.multi_label
        if self.class_weights == "equal":
            if several:
                raise ConfigError(
                    "metric.class_weights equal needs one label per row; with several, columns count alike anyway",
                    code="C47",
                    hint="leave out metric.class_weights",
                )
        else:
            check_names(self.class_weights, classes, "class_weights")
            if classes and not weights_of(self.class_weights, classes).any():
                raise ConfigError(
                    "metric.class_weights are all 0", code="C47", hint="give a class some weight"
                )
        if self.positive_weight != 1 and not several:
            raise ConfigError(
                "metric.positive_weight needs several labels per row, and each row has one",
                code="C47",
                hint="metric.class_weights has weights of classes",
            )

    def excluded_shortcuts(self) -> tuple[type, ...]:
        return (FromTrueClassProbability,) if self._is_weighted() else ()

    def _is_weighted(self) -> bool:
        return bool(self.class_weights) or self.positive_weight != 1

    def score(self, truth: Targets, probabilities: Probabilities) -> float:
        if self._is_weighted():
            return self.score_by_weights(truth, probabilities)(np.ones(len(truth)))
        return float(self.of_true(true_class_probability(truth, probabilities)).mean())

    def of_true(self, shares: np.ndarray) -> np.ndarray:
        losses: np.ndarray = -np.log(np.clip(shares, self.clip, 1 - self.clip))
        return losses

    def score_by_weights(self, truth: Targets, probabilities: Probabilities) -> Callable[[np.ndarray], float]:
        losses = self.of_true(true_class_probability(truth, probabilities))
        if truth.ndim == 2:
            cells = self._weights(truth.shape[1]) * np.where(truth, self.positive_weight, 1.0)
            sums = cells.sum(axis=1)  # 0 if all of a row's labels have the weight 0
            by_row = (cells * losses).sum(axis=1) / np.where(sums > 0, sums, 1)
            return lambda weights: float(np.average(by_row, weights=weights))
        if self.class_weights == "equal":
            classes = probabilities.shape[1]
            return lambda weights: _mean_by_class(truth, losses, weights, classes)
        own = self._weights(probabilities.shape[1])[truth]

        def score(weights: np.ndarray) -> float:
            if not (weights * own).any():
                raise InvalidError("no row is of a class with a weight", code="D45")
            return float(np.average(losses, weights=weights * own))

        return score

    def _weights(self, classes: int) -> np.ndarray:
        names = self.context.classes
        if self.class_weights == "equal" or len(names) != classes:
            return np.ones(classes)
        return weights_of(self.class_weights, names)


def _mean_by_class(truth: Targets, losses: np.ndarray, weights: np.ndarray, classes: int) -> float:
    sums = np.bincount(truth, weights * losses, minlength=classes)
    rows = np.bincount(truth, weights, minlength=classes)
    some = rows > 0
    return float((sums[some] / rows[some]).mean())
