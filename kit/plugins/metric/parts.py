"""Parts: a metric of each part of a row's answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Self

import numpy as np
from pydantic import Field, model_validator

from kit.core.arrays import Probabilities, Targets
from kit.errors import ConfigError, InvalidError
from kit.kinds import Metric
from kit.kinds.several_target import PART_SEPARATOR, SeveralTarget
from kit.kinds.targets import ONE_CLASS, LabelKind
from kit.plugins.metric._class_options import check_names
from kit.plugins.metric._inner_metric import InnerMetric
from kit.plugins.metric.log_loss import LogLoss


class PartsMetric(InnerMetric):
    """The weighted mean of a metric over the parts of an answer, each scored on the rows that have its label.

    To the inner metric a part's classes are called as in the training table. Raises InvalidError if no row has a label
    of a part with a weight.

    Source: numpy.average of scores; Bengali.AI (macro recall, weights 2, 1, 1).
    """

    label_kinds = ("several",)
    wants = ("classes",)

    of: Metric = Field(LogLoss(), description="the metric of each part, which must take one label per row")
    weights: Mapping[str, float] = Field({}, description="weights of parts by name, by default 1")

    @model_validator(mode="after")
    def _weights_are_not_negative(self) -> Self:
        if any(weight < 0 for weight in self.weights.values()):
            raise ValueError("weights must be 0 or more")
        return self

    def takes_labels(self, labels: LabelKind) -> bool:
        return labels == "several" and self.of.takes_labels("class_index")

    def check_context(self) -> None:
        target = self.context.target
        if not isinstance(target, SeveralTarget):
            return
        check_names(self.weights, tuple(target.slices), "weights")
        if not any(self.weights.get(name, 1.0) for name in target.slices):
            raise ConfigError("metric.weights are all 0", code="C47", hint="give a part some weight")
        # a class that its options name may be absent in some parts
        classes = dict.fromkeys(name for part in target.slices for name in self._classes_of(part))
        context = replace(self.context, classes=tuple(classes), superclasses=(), target=ONE_CLASS)
        self.of.with_known(context=context).check_context()

    def score(self, truth: Targets, probabilities: Probabilities) -> float:
        scored = list(self._scores(truth, probabilities))
        return float(np.average([score for score, _ in scored], weights=[weight for _, weight in scored]))

    def _scores(self, truth: Targets, probabilities: Probabilities) -> Iterator[tuple[float, float]]:
        """The score and the weight of each part that has a weight."""
        assert isinstance(self.context.target, SeveralTarget)
        for name, place in self.context.target.slices.items():
            weight = self.weights.get(name, 1.0)
            if not weight:
                continue
            own = truth[:, place]
            some = np.asarray(own.any(axis=1))
            if not some.any():
                raise InvalidError(f"no scored row has a label of part {name!r}", code="D45")
            metric = self._bind(name, some)
            yield metric.score(own[some].argmax(axis=1), probabilities[some, place]), weight

    def _bind(self, part: str, rows: np.ndarray) -> Metric:
        """The inner metric that knows the classes of a part and the scored rows, a mask."""
        context = replace(self.context, classes=self._classes_of(part), superclasses=(), target=ONE_CLASS)
        return self.of.with_known(context=context.take(rows) if context.has_rows else context)

    def _classes_of(self, part: str) -> tuple[str, ...]:
        """The classes of a part, as the training table has them."""
        assert isinstance(self.context.target, SeveralTarget)
        names = self.context.classes[self.context.target.slices[part]]
        return tuple(name.removeprefix(part + PART_SEPARATOR) for name in names)
