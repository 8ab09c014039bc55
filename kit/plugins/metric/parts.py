"""Parts: a metric of each part of a row's answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from pydantic import Field, model_validator

from kit.core.arrays import Probabilities, Targets
from kit.errors import ConfigError, InvalidError
from kit.kinds import Metric
from kit.kinds.several_target import PART_SEPARATOR, PartKind, SeveralTarget
from kit.kinds.targets import MULTI_HOT, NUMBERS, ONE_CLASS, LabelKind
from kit.plugins.metric._class_options import check_names
from kit.plugins.metric._inner_metric import InnerMetric
from kit.plugins.metric.log_loss import LogLoss
from kit.plugins.metric.rmse import Rmse


@dataclass(frozen=True)
class _Scored:
    """What one inner metric scores: the columns of a softmax part, or one column of another part."""

    part: str
    kind: PartKind
    place: slice
    weight: float


class PartsMetric(InnerMetric):
    """The weighted mean of a metric over the parts of an answer, each scored on the rows that have its label.

    Softmax parts have the metric `of`, sigmoid and number parts their own. A part of several such columns has the mean
    of its columns. To the inner metric a part's classes are called as in the training table. Raises InvalidError if no
    row has a label of a part with a weight.

    Source: numpy.average of scores; Bengali.AI (macro recall, weights 2, 1, 1).
    """

    label_kinds = ("several",)
    wants = ("classes",)

    of: Metric = Field(
        LogLoss(), description="the metric of each softmax part, which must take one label per row"
    )
    sigmoid: Metric = Field(LogLoss(), description="the metric of each column of sigmoid parts")
    number: Metric = Field(Rmse(), description="the metric of each column of number parts")
    weights: Mapping[str, float] = Field({}, description="weights of parts by name, by default 1")

    @model_validator(mode="after")
    def _weights_are_not_negative(self) -> Self:
        if any(weight < 0 for weight in self.weights.values()):
            raise ValueError("weights must be 0 or more")
        return self

    @property
    def higher_is_better(self) -> bool:  # type: ignore[override]
        """As for the metrics of the parts."""
        return self._metrics_of_parts()[0][1].higher_is_better

    @property
    def limits(self) -> tuple[float, float]:  # type: ignore[override]
        """The widest limits of the metrics of the parts."""
        low, high = zip(*(metric.limits for _, metric in self._metrics_of_parts()), strict=True)
        return min(low), max(high)

    def takes_labels(self, labels: LabelKind) -> bool:
        return (
            labels == "several"
            and self.of.takes_labels("class_index")
            and self.sigmoid.takes_labels("multi_hot")
            and self.number.takes_labels("numbers")
        )

    def check_context(self) -> None:
        target = self.context.target
        if not isinstance(target, SeveralTarget):
            return
        check_names(self.weights, tuple(target.slices), "weights")
        if not any(self.weights.get(name, 1.0) for name in target.slices):
            raise ConfigError("metric.weights are all 0", code="C47", hint="give a part some weight")
        used = self._metrics_of_parts()
        if len({metric.higher_is_better for _, metric in used}) > 1:
            lower = [
                f"metric.{option}={metric.plugin_name()}"
                for option, metric in used
                if not metric.higher_is_better
            ]
            raise ConfigError(
                f"lower is better for {', '.join(lower)}, and higher for the metrics of other parts",
                code="C47",
                hint="metrics of one direction, such as r2 for numbers beside accuracy and auc",
            )
        # a class that its options name may be absent in some parts
        classes = dict.fromkeys(
            name for part in target.layout if part.kind == "softmax" for name in self._names_of(part.place)
        )
        context = replace(self.context, classes=tuple(classes), superclasses=(), target=ONE_CLASS)
        self.of.with_known(context=context).check_context()

    def score(self, truth: Targets, probabilities: Probabilities) -> float:
        scored = list(self._scores(truth, probabilities))
        return float(np.average([score for score, _ in scored], weights=[weight for _, weight in scored]))

    def _scores(self, truth: Targets, probabilities: Probabilities) -> Iterator[tuple[float, float]]:
        """The score and the weight of each part that has a weight."""
        missing = self.context.target.find_missing(truth)
        for scored in self._columns():
            some = ~missing[:, scored.place].any(axis=1)
            if not some.any():
                raise InvalidError(f"no scored row has a label of part {scored.part!r}", code="D45")
            own, metric = truth[some, scored.place], self._bind(scored, some)
            if scored.kind == "softmax":
                own = own.argmax(axis=1)
            elif scored.kind == "sigmoid":
                own = own.astype(np.int8)
            yield metric.score(own, probabilities[some, scored.place]), scored.weight

    def _columns(self) -> Iterator[_Scored]:
        """What has a score of its own and a weight."""
        assert isinstance(self.context.target, SeveralTarget)
        for part in self.context.target.layout:
            weight, place = self.weights.get(part.name, 1.0), part.place
            if not weight:
                continue
            if part.kind == "softmax":
                yield _Scored(part.name, part.kind, place, weight)
                continue
            count = place.stop - place.start
            for at in range(place.start, place.stop):
                yield _Scored(part.name, part.kind, slice(at, at + 1), weight / count)

    def _metrics_of_parts(self) -> list[tuple[str, Metric]]:
        """The options with a metric of some part, and the metric; `of` alone if the parts are not known."""
        target = self.context.target
        kinds = (
            {part.kind for part in target.layout if self.weights.get(part.name, 1.0)}
            if isinstance(target, SeveralTarget)
            else {"softmax"}
        )
        options = (
            ("softmax", "of", self.of),
            ("sigmoid", "sigmoid", self.sigmoid),
            ("number", "number", self.number),
        )
        return [(option, metric) for kind, option, metric in options if kind in kinds] or [("of", self.of)]

    def _bind(self, scored: _Scored, rows: np.ndarray) -> Metric:
        """The metric of these columns, that knows their names and the scored rows, a mask."""
        metric, target = {
            "softmax": (self.of, ONE_CLASS),
            "sigmoid": (self.sigmoid, MULTI_HOT),
            "number": (self.number, NUMBERS),
        }[scored.kind]
        names = self._names_of(scored.place)
        context = replace(self.context, classes=names, superclasses=(), target=target)
        return metric.with_known(context=context.take(rows) if context.has_rows else context)

    def _names_of(self, place: slice) -> tuple[str, ...]:
        """The names of columns as the training table has them."""
        return tuple(name.partition(PART_SEPARATOR)[2] or name for name in self.context.classes[place])
