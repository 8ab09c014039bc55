"""Mean: a weighted average of several metrics, each of all columns or of some."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
from pydantic import Field, model_validator

from kit.core.arrays import Probabilities, Targets
from kit.errors import ConfigError
from kit.kinds import Metric
from kit.kinds.metric_shortcuts import (
    FromClassCounts,
    FromConfusionMatrix,
    SupportsRowWeights,
    scores_by_weights,
    scores_class_counts,
    scores_confusion,
)
from kit.kinds.score_context import ScoreContext
from kit.plugins.metric._class_options import check_names, class_numbers
from kit.plugins.metric.accuracy import Accuracy


class MeanOfMetrics(Metric):
    """Weighted mean of metrics. If a row may have several labels, each metric may score only some of the columns.

    The score is sum(w s) / sum(w) of the scores s. All metrics must agree on whether higher is better. If one
    of them has no score on some rows, the mean has none either.

    Source: numpy.average of scores; ODIR-2019 (kappa, F1, AUC), RSNA 2025 (AUC of columns, weights 13 and 1).
    """

    label_kinds = ("class_index", "multi_hot", "numbers", "soft", "several")

    of: tuple[Metric, ...] = Field((Accuracy(),), description="the metrics, names or specs with options")
    weights: tuple[float, ...] = Field((), description="the weight of each metric; by default equal")
    columns: tuple[tuple[str, ...], ...] = Field(
        (), description="the classes that each metric scores, with several labels per row; [] for all"
    )

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if not self.of:
            raise ValueError("of must name one metric or more")
        for name, values in (("weights", self.weights), ("columns", self.columns)):
            if values and len(values) != len(self.of):
                raise ValueError(f"{name} has {len(values)} entries for {len(self.of)} metrics")
        if self.weights and (min(self.weights) < 0 or not any(self.weights)):
            raise ValueError("weights must be 0 or more, and not all 0")
        if len({metric.higher_is_better for metric in self.of}) > 1:
            lower = [metric.plugin_name() for metric in self.of if not metric.higher_is_better]
            raise ValueError(f"lower is better for {', '.join(lower)}, and higher for the other metrics")
        return self

    @property
    def higher_is_better(self) -> bool:  # type: ignore[override]
        """The metrics' direction."""
        return self.of[0].higher_is_better

    @property
    def limits(self) -> tuple[float, float]:  # type: ignore[override]
        """The weighted mean of the limits."""
        low, high = zip(*(metric.limits for metric in self.of), strict=True)
        return self._average(low), self._average(high)

    def with_known(self, **values: Any) -> Self:
        """Returns the same metric; metrics of some columns know only the names of those."""
        bound = super().with_known(**values)
        context = values.get("context")
        if not self.columns or not isinstance(context, ScoreContext) or not context.classes:
            return bound
        parts = tuple(
            metric.with_known(context=context.of_classes(class_numbers(names, context.classes)))
            if names and set(names) <= set(context.classes)
            else metric
            for metric, names in zip(bound.of, self.columns, strict=True)
        )
        return bound.model_copy(update={"of": parts})

    def check_context(self) -> None:
        for names in self.columns:
            check_names(names, self.context.classes, "columns")
        lacks = {"class_index": "each row has one", "several": "each row has an answer of several parts"}
        if any(self.columns) and self.context.target.kind in lacks:
            raise ConfigError(
                f"metric.columns needs several labels per row, and {lacks[self.context.target.kind]}",
                code="C47",
                hint="leave out metric.columns",
            )
        super().check_context()

    wants = ("classes",)

    def excluded_shortcuts(self) -> tuple[type, ...]:
        offers = (
            (FromConfusionMatrix, scores_confusion),
            (FromClassCounts, scores_class_counts),
            (SupportsRowWeights, scores_by_weights),
        )
        return tuple(
            protocol for protocol, offered in offers if not all(offered(metric) for metric in self.of)
        )

    def score(self, truth: Targets, probabilities: Probabilities) -> float:
        scores = [metric.score(*part) for metric, part in self._parts(truth, probabilities)]
        return self._average(scores)

    def score_by_weights(self, truth: Targets, probabilities: Probabilities) -> Callable[[np.ndarray], float]:
        functions = [
            metric.score_by_weights(*part)
            for metric, part in self._parts(truth, probabilities)
            if scores_by_weights(metric)
        ]
        return lambda weights: self._average([function(weights) for function in functions])

    def of_confusion(self, counts: np.ndarray) -> float:
        return self._average([metric.of_confusion(counts) for metric in self.of if scores_confusion(metric)])

    def of_margins(self, hits: np.ndarray, predicted: np.ndarray, true: np.ndarray) -> float:
        return self._average(
            [metric.of_margins(hits, predicted, true) for metric in self.of if scores_class_counts(metric)]
        )

    def _parts(
        self, truth: Targets, probabilities: Probabilities
    ) -> list[tuple[Metric, tuple[Targets, Probabilities]]]:
        """Returns each metric with the truth and probabilities of its columns."""
        columns = self.columns if truth.ndim == 2 and self.columns else ((),) * len(self.of)
        numbers = [class_numbers(names, self.context.classes) if names else slice(None) for names in columns]
        return [
            (metric, (truth if truth.ndim == 1 else truth[:, places], probabilities[:, places]))
            for metric, places in zip(self.of, numbers, strict=True)
        ]

    def _average(self, scores: Sequence[float]) -> float:
        return float(np.average(scores, weights=self.weights or None))
