"""Parts: a metric of each part of a row's answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from pydantic import Field, model_validator

from kit.core.arrays import Probabilities, Targets
from kit.errors import ConfigError, InvalidError
from kit.kinds import Metric
from kit.kinds.several_target import AnswerPart, PartKind, SeveralTarget
from kit.kinds.targets import MULTI_HOT, NUMBERS, ONE_CLASS, LabelKind
from kit.plugins.metric._class_options import check_names, expand_names
from kit.plugins.metric._inner_metric import InnerMetric
from kit.plugins.metric._part_columns import class_names_of, places_of
from kit.plugins.metric.log_loss import LogLoss
from kit.plugins.metric.rmse import Rmse


@dataclass(frozen=True)
class _Scored:
    """The subject of one inner metric: the columns of a softmax part, one column of another part, or those of
    a pool.
    """

    name: str
    kind: PartKind
    places: tuple[slice, ...]
    weight: float


class PartsMetric(InnerMetric):
    """The weighted mean of a metric over the parts of an answer, each scored on the rows that have its label.

    Softmax parts have the metric `of`, sigmoid and number parts their own. A part of several such columns has
    the mean of its columns. The parts of a pool count as one: each row's answers of them are rows of one
    score. The inner metric sees a part's classes by their names in the training table. Raises InvalidError if
    no row has a label of a part with a weight.

    Source: numpy.average of scores; Bengali.AI (macro recall, weights 2, 1, 1); RSNA 2024 Lumbar Spine (pools).
    """

    label_kinds = ("several",)
    wants = ("classes",)

    of: Metric = Field(
        LogLoss(), description="the metric of each softmax part, which must take one label per row"
    )
    sigmoid: Metric = Field(LogLoss(), description="the metric of each column of sigmoid parts")
    number: Metric = Field(Rmse(), description="the metric of each column of number parts")
    weights: Mapping[str, float] = Field({}, description="weights of parts and pools by name, by default 1")
    pools: Mapping[str, tuple[str, ...]] = Field(
        {}, description="parts of one kind that are scored together, names or patterns, by the pool's name"
    )

    @model_validator(mode="after")
    def _weights_are_not_negative(self) -> Self:
        if any(weight < 0 for weight in self.weights.values()):
            raise ValueError("weights must be 0 or more")
        return self

    @property
    def higher_is_better(self) -> bool:  # type: ignore[override]
        """The direction of the parts' metrics."""
        return self._metrics_of_parts()[0][1].higher_is_better

    @property
    def limits(self) -> tuple[float, float]:  # type: ignore[override]
        """The widest limits of the parts' metrics."""
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
        pools = self._pool_parts()
        pooled = {part.name for parts in pools.values() for part in parts}
        check_names(
            self.weights, [*pools, *(name for name in target.slices if name not in pooled)], "weights", "part"
        )
        if not any(scored.weight for scored in self._columns()):
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
            name
            for part in target.layout
            if part.kind == "softmax"
            for name in class_names_of(self.context.classes, part.place)
        )
        context = replace(self.context, classes=tuple(classes), superclasses=(), target=ONE_CLASS)
        self.of.with_known(context=context).check_context()

    def score(self, truth: Targets, probabilities: Probabilities) -> float:
        scored = list(self._scores(truth, probabilities))
        return float(np.average([score for score, _ in scored], weights=[weight for _, weight in scored]))

    def score_parts(self, truth: Targets, probabilities: Probabilities) -> dict[str, tuple[str, float]]:
        alone = self.model_copy(update={"pools": {}})
        missing = self.context.target.find_missing(truth)
        scores = {}
        for scored in alone._columns():
            with suppress(InvalidError):
                name = scored.name
                if scored.kind != "softmax":
                    (name,) = self.context.classes[scored.places[0]]
                metric, score = alone._score(scored, truth, probabilities, missing)
                scores[name] = (metric.plugin_name(), score)
        return scores

    def _scores(self, truth: Targets, probabilities: Probabilities) -> Iterator[tuple[float, float]]:
        """Yields the score and the weight of each part or pool that has a weight."""
        missing = self.context.target.find_missing(truth)
        for scored in self._columns():
            if scored.weight:
                yield self._score(scored, truth, probabilities, missing)[1], scored.weight

    def _score(
        self, scored: _Scored, truth: Targets, probabilities: Probabilities, missing: np.ndarray
    ) -> tuple[Metric, float]:
        """Returns the metric of a part or a pool, and its score. Raises InvalidError if no row has a label."""
        rows = [np.flatnonzero(~missing[:, columns].any(axis=1)) for columns in scored.places]
        together = np.concatenate(rows)
        if not len(together):
            raise InvalidError(f"no scored row has a label of part {scored.name!r}", code="D45")
        names = self._names_of(scored)
        own = self._stack(truth, scored, rows, names)
        if scored.kind == "softmax":
            own = own.argmax(axis=1)
        elif scored.kind == "sigmoid":
            own = own.astype(np.int8)
        given = self._stack(probabilities, scored, rows, names)
        metric = self._bind(scored, together, names)
        return metric, metric.score(own, given)

    def _stack(
        self, values: np.ndarray, scored: _Scored, rows: list[np.ndarray], names: tuple[str, ...]
    ) -> np.ndarray:
        """Returns the values of these rows at each position, stacked vertically.

        A class that a part lacks is 0 there.
        """
        if len(scored.places) == 1:
            return np.asarray(values[rows[0], scored.places[0]])
        blocks = []
        for columns, own in zip(scored.places, rows, strict=True):
            block = np.zeros((len(own), len(names)), values.dtype)
            at = [0] if scored.kind != "softmax" else self._numbers_in(names, columns)
            block[:, at] = values[own, columns]
            blocks.append(block)
        return np.concatenate(blocks)

    def _numbers_in(self, names: tuple[str, ...], columns: slice) -> list[int]:
        return [names.index(name) for name in class_names_of(self.context.classes, columns)]

    def _columns(self) -> Iterator[_Scored]:
        """Yields the columns that have their own score: pools in the order of their first parts, and parts
        outside of pools.
        """
        assert isinstance(self.context.target, SeveralTarget)
        pools = self._pool_parts()
        pool_of = {part.name: name for name, parts in pools.items() for part in parts}
        seen: set[str] = set()
        for part in self.context.target.layout:
            name = pool_of.get(part.name, part.name)
            if name in seen:
                continue
            seen.add(name)
            weight = self.weights.get(name, 1.0)
            parts = pools[name] if part.name in pool_of else [part]
            places = [columns for own in parts for columns in places_of(own)]
            if part.name in pool_of or part.kind == "softmax":
                yield _Scored(name, part.kind, tuple(places), weight)
            else:
                for columns in places:
                    yield _Scored(name, part.kind, (columns,), weight / len(places))

    def _pool_parts(self) -> dict[str, list[AnswerPart]]:
        """Returns the parts of each pool.

        Raises ConfigError C47 for unknown parts, and for parts of two pools or two kinds.
        """
        assert isinstance(self.context.target, SeveralTarget)
        layout = {part.name: part for part in self.context.target.layout}
        pools: dict[str, list[AnswerPart]] = {}
        pool_of: dict[str, str] = {}
        for pool, patterns in self.pools.items():
            names = expand_names(patterns, list(layout), "pools", "part")
            for name in names:
                if name in pool_of:
                    raise ConfigError(
                        f"metric.pools: part {name!r} is in the pools {pool_of[name]!r} and {pool!r}",
                        code="C47",
                        hint="list each part in one pool",
                    )
                pool_of[name] = pool
            kinds = sorted({layout[name].kind for name in names})
            if len(kinds) != 1:
                kinds_text = " and ".join(kinds) if kinds else "no part"
                raise ConfigError(
                    f"metric.pools: the pool {pool!r} has parts of {kinds_text}",
                    code="C47",
                    hint="list parts of one kind",
                )
            pools[pool] = [layout[name] for name in names]
        for pool in pools:
            if pool in layout and pool_of.get(pool) != pool:
                raise ConfigError(
                    f"metric.pools: {pool!r} is also the name of a part", code="C47", hint="rename the pool"
                )
        return pools

    def _metrics_of_parts(self) -> list[tuple[str, Metric]]:
        """Returns the options with a metric of some part, and the metric; only `of` if the parts are not known."""
        target = self.context.target
        kinds = (
            {scored.kind for scored in self._columns() if scored.weight}
            if isinstance(target, SeveralTarget)
            else {"softmax"}
        )
        options = (
            ("softmax", "of", self.of),
            ("sigmoid", "sigmoid", self.sigmoid),
            ("number", "number", self.number),
        )
        return [(option, metric) for kind, option, metric in options if kind in kinds] or [("of", self.of)]

    def _bind(self, scored: _Scored, rows: np.ndarray, names: tuple[str, ...]) -> Metric:
        """Returns the metric of these columns, with their names and the scored rows by position."""
        metric, target = {
            "softmax": (self.of, ONE_CLASS),
            "sigmoid": (self.sigmoid, MULTI_HOT),
            "number": (self.number, NUMBERS),
        }[scored.kind]
        context = replace(self.context, classes=names, superclasses=(), target=target)
        return metric.with_known(context=context.take(rows) if context.has_rows else context)

    def _names_of(self, scored: _Scored) -> tuple[str, ...]:
        """Returns the names of the columns as in the training table; for a pool all its classes."""
        names = [name for columns in scored.places for name in class_names_of(self.context.classes, columns)]
        if scored.kind == "softmax":
            return tuple(dict.fromkeys(names))
        return tuple(names) if len(names) == 1 else (scored.name,)
