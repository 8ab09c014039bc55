"""Any part: a metric of whether any part of a row's answer has a class, such as any injury."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from kit.core.arrays import Probabilities, Targets
from kit.errors import ConfigError, InvalidError
from kit.kinds import Metric
from kit.kinds.several_target import SeveralTarget
from kit.kinds.targets import ONE_CLASS, LabelKind
from kit.plugins.metric._class_options import expand_names
from kit.plugins.metric._inner_metric import InnerMetric
from kit.plugins.metric._part_columns import class_names_of, places_of
from kit.plugins.metric.log_loss import LogLoss
from kit.plugins.metric.row_weighted import RowWeighted, can_weigh_rows

Weight = Annotated[float, Field(ge=0)]


@dataclass(frozen=True)
class _Question:
    """Whether one part has one of the classes: the part's columns, those of the classes, and weights of all."""

    place: slice
    is_asked: np.ndarray  # bool, one for each column of the part
    weights: np.ndarray  # float64, one for each column of the part
    is_softmax: bool


class AnyPart(InnerMetric):
    """The score of yes or no: whether any part has one of `classes`, by the largest probability among the parts.

    The probability of a softmax part is the sum over its classes among `classes`. Each column of a sigmoid
    part counts as a separate part. Parts without a label in a row do not count in that row's truth and
    prediction, and rows without any label are left out. The inner metric sees two classes, `no` and `yes`.
    Raises InvalidError if no row has a label.

    Source: the scores of RSNA 2023 Abdominal Trauma (any injury) and RSNA 2024 Lumbar Spine (any severe spinal
    stenosis).
    """

    label_kinds = ("several",)
    wants = ("classes",)

    of: Metric = Field(LogLoss(), description="metric of yes and no, which must accept one label per row")
    parts: tuple[str, ...] = Field(
        (),
        description="names or patterns of the parts, such as spinal_*; by default all softmax and sigmoid parts",
    )
    classes: tuple[str, ...] = Field(
        (),
        description="names or patterns of the classes that count as yes; by default each part's last class",
    )
    rule: Literal["max", "noisy_or"] = Field(
        "max", description="max: the largest probability; noisy_or: 1 - the product of 1 - p over the parts"
    )
    class_weights: Mapping[str, Weight] = Field(
        {},
        description="weights of classes by name or pattern, by default 1; a row has the largest weight of its labels",
    )

    @model_validator(mode="after")
    def _takes_weights(self) -> Self:
        if self.class_weights and not can_weigh_rows(self.of):
            raise ValueError(
                f"metric {self.of.plugin_name()!r} cannot weigh rows: it has no score_by_weights"
            )
        return self

    def takes_labels(self, labels: LabelKind) -> bool:
        return labels == "several" and self.of.takes_labels("class_index")

    def check_context(self) -> None:
        if isinstance(self.context.target, SeveralTarget):
            self._questions()
            self._yes_or_no(self.of).check_context()

    def score(self, truth: Targets, probabilities: Probabilities) -> float:
        values, given, weights, known = (
            np.stack(columns, axis=1) for columns in zip(*self._answers(truth, probabilities), strict=True)
        )
        some = np.asarray(known.any(axis=1))
        if not some.any():
            raise InvalidError("no scored row has a label of a part that is asked for", code="D45")
        # a part without a label adds nothing: its answer is no, its probability 0 and its weight 0
        given, weights = np.where(known, given, 0.0), np.where(known, weights, 0.0).max(axis=1)
        share = given.max(axis=1) if self.rule == "max" else 1 - (1 - given).prod(axis=1)
        rows = np.stack([1 - share, share], axis=1)[some]
        metric: Metric = RowWeighted(of=self.of) if self.class_weights else self.of
        metric = self._yes_or_no(metric, weights[some] if self.class_weights else None, some)
        return metric.score((values & known).any(axis=1)[some].astype(np.int64), rows)

    def _answers(
        self, truth: Targets, probabilities: Probabilities
    ) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
        """Yields for each question (N,): the answer, the probability of yes, the label's weight, and if there
        is a label.
        """
        missing = self.context.target.find_missing(truth)
        for question in self._questions():
            columns, is_asked = question.place, question.is_asked
            own, given = truth[:, columns], probabilities[:, columns].astype(np.float64)
            known = ~np.asarray(missing[:, columns].any(axis=1))
            if question.is_softmax:
                weights = question.weights[own.argmax(axis=1)]
                shares = given[:, is_asked].sum(axis=1) / given.sum(axis=1)
                yield np.asarray(own[:, is_asked].sum(axis=1) > 0), shares, weights, known
            else:
                yes = own[:, 0] > 0
                weights = np.where(yes, question.weights[0], 1.0)
                yield yes & is_asked[0], given[:, 0] * is_asked[0], weights, known

    def _questions(self) -> list[_Question]:
        """Returns the questions. Raises ConfigError C47 for names that fit no part or class, or parts of numbers."""
        target = self.context.target
        assert isinstance(target, SeveralTarget)
        able = [part for part in target.layout if part.kind != "number"]
        parts = (
            expand_names(self.parts, [part.name for part in able], "parts", "part") if self.parts else None
        )
        blocks = [
            (part, columns)
            for part in able
            if parts is None or part.name in parts
            for columns in places_of(part)
        ]
        names = [class_names_of(self.context.classes, columns) for _, columns in blocks]
        every = list(dict.fromkeys(name for block in names for name in block))
        asked_names = set(expand_names(self.classes, every, "classes"))
        weights = {
            name: weight
            for pattern, weight in self.class_weights.items()
            for name in expand_names([pattern], every, "class_weights")
        }
        questions = []
        for (part, columns), block in zip(blocks, names, strict=True):
            chosen = np.array([name in asked_names for name in block])
            if not self.classes:
                chosen[-1] = True
            own = np.array([weights.get(name, 1.0) for name in block], np.float64)
            questions.append(_Question(columns, chosen, own, part.kind == "softmax"))
        if not questions:
            raise ConfigError(
                "metric.parts: no part has classes or yes and no",
                code="C47",
                hint="metric=parts scores parts of numbers",
            )
        return questions

    def _yes_or_no(
        self, metric: Metric, weights: np.ndarray | None = None, rows: np.ndarray | None = None
    ) -> Metric:
        """Returns a metric that knows the two classes, the scored rows, a mask, and the rows' weights if they
        have any.
        """
        context = replace(self.context, classes=("no", "yes"), superclasses=(), target=ONE_CLASS)
        if rows is not None and context.has_rows:
            context = context.take(rows)
        return metric.with_known(context=context if weights is None else replace(context, weights=weights))
