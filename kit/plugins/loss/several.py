"""Several: a loss for each part of a row's answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from pydantic import Field, model_validator

from kit.errors import ConfigError, did_you_mean
from kit.kinds import Classes, Loss, Target, bound_field
from kit.kinds.several_target import SeveralTarget
from kit.kinds.targets import MULTI_HOT, NUMBERS, ONE_CLASS, SOFT, LabelKind
from kit.plugins.loss._device_tensors import once
from kit.plugins.loss.bce import Bce
from kit.plugins.loss.cross_entropy import CrossEntropy
from kit.plugins.loss.mse import SquaredError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class _Term:
    """A part's loss on its own columns, and its weight."""

    place: slice
    loss: Loss
    weight: float
    is_softmax: bool


class Several(Loss):
    """The weighted mean over the parts of an answer: the base loss of classes, and losses of yes and no and of numbers.

    A part or a single column without a label in a row counts 0 there. A part of several columns counts their
    mean. Each part has its own outputs of one linear head, which is the same as one head per part on shared
    features. Numbers are scaled to the mean and standard deviation of the fold's training rows. Raises
    ConfigError C47 for weights of unknown parts.

    Source: the multi-head solutions of Bengali.AI Handwritten Grapheme Classification.
    """

    label_kinds = ("several",)

    base: Loss = Field(
        CrossEntropy(), description="the loss of softmax parts; it must take shares of classes"
    )
    sigmoid: Loss = Field(Bce(), description="the loss of sigmoid parts; it must take several labels per row")
    number: Loss = Field(SquaredError(), description="the loss of number parts")
    weights: Mapping[str, float] = Field({}, description="weights of parts by name, by default 1")
    names: tuple[str, ...] = bound_field()
    counts: tuple[int, ...] = bound_field()
    total: int = bound_field(0)
    means: tuple[float, ...] = bound_field()
    scales: tuple[float, ...] = bound_field()
    target: Target = bound_field(ONE_CLASS)

    @model_validator(mode="after")
    def _losses_have_an_output_per_column(self) -> Self:
        given: tuple[tuple[str, Loss, LabelKind, str], ...] = (
            ("base", self.base, "soft", "shares"),
            ("sigmoid", self.sigmoid, "multi_hot", "several labels per row"),
            ("number", self.number, "numbers", "numbers"),
        )
        for option, loss, labels, labels_text in given:
            if loss.outputs() != "logits" or loss.width(3) != 3 or not loss.takes_labels(labels):
                raise ValueError(
                    f"{option} {loss.plugin_name()!r} is no loss of logits that takes {labels_text}"
                )
            if option != "base" and not loss.is_splittable():
                raise ValueError(f"{option} {loss.plugin_name()!r} compares rows, which may lack labels")
        if any(weight < 0 for weight in self.weights.values()):
            raise ValueError("weights must be 0 or more")
        return self

    def takes_labels(self, labels: LabelKind) -> bool:
        return labels == "several"

    def with_classes(self, classes: Classes) -> Self:
        bound = super().with_classes(classes)
        if isinstance(classes.target, SeveralTarget):
            known = classes.target.slices
            for name in self.weights:
                if name not in known:
                    raise ConfigError(
                        f"loss.weights: no part {name!r}{did_you_mean(name, known)}",
                        code="C47",
                        hint=f"the parts: {', '.join(known)}",
                    )
            if not any(self.weights.get(name, 1.0) for name in known):
                raise ConfigError("loss.weights are all 0", code="C47", hint="give a part some weight")
        return bound

    def rows(self, outputs: Tensor, labels: Tensor) -> Tensor:
        costs, total = outputs.new_zeros(len(outputs)), 0.0
        for term in self._terms():
            given, own = outputs[:, term.place], labels[:, term.place]
            # NaN times 0 is NaN, in gradients too, so a blank label gets a value before the loss
            known = (own == own).all(dim=1)
            if term.is_softmax:
                known = known & (own.sum(dim=1) > 0)
            costs = costs + term.weight * term.loss.rows(given, own.nan_to_num()) * known
            total += term.weight
        return costs / total

    def probabilities(self, outputs: Tensor) -> Tensor:
        import torch

        return torch.cat([term.loss.probabilities(outputs[:, term.place]) for term in self._terms()], dim=1)

    def _terms(self) -> list[_Term]:
        """Returns the loss of each softmax part, and of each column of other parts."""
        return once(self, "terms", self._make_terms)

    def _make_terms(self) -> list[_Term]:
        assert isinstance(self.target, SeveralTarget)
        terms = []
        for part in self.target.layout:
            weight, columns = self.weights.get(part.name, 1.0), part.place
            if part.kind == "softmax":
                terms.append(
                    _Term(columns, self.base.with_classes(self._classes(columns, SOFT)), weight, True)
                )
                continue
            loss, target = (self.sigmoid, MULTI_HOT) if part.kind == "sigmoid" else (self.number, NUMBERS)
            for at in range(columns.start, columns.stop):
                own = slice(at, at + 1)
                share = weight / (columns.stop - columns.start)
                terms.append(_Term(own, loss.with_classes(self._classes(own, target)), share, False))
        return terms

    def _classes(self, columns: slice, target: Target) -> Classes:
        """Returns the information about classes for the loss of these columns."""
        counts = self.counts[columns]
        total = sum(counts) if target == SOFT else self.total
        means, scales = (self.means[columns], self.scales[columns]) if target == NUMBERS else ((), ())
        return Classes(self.names[columns], counts, total=total, target=target, means=means, scales=scales)
