"""Several: a loss for each part of a row's answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Self

from pydantic import Field, model_validator

from kit.errors import ConfigError, did_you_mean
from kit.kinds import Classes, Loss, Target, bound_field
from kit.kinds.several_target import SeveralTarget
from kit.kinds.targets import ONE_CLASS, SOFT, LabelKind
from kit.plugins.loss._device_tensors import once
from kit.plugins.loss.cross_entropy import CrossEntropy

if TYPE_CHECKING:
    from torch import Tensor


class Several(Loss):
    """The weighted mean of the base loss over the parts of an answer, each with a softmax of its own.

    A part without a label in a row counts 0 there. Each part has its own outputs of one linear head, which is the same
    as a head for each part on shared features. Raises ConfigError C47 for weights of unknown parts.

    Source: the multi-head solutions of Bengali.AI Handwritten Grapheme Classification.
    """

    label_kinds = ("several",)

    base: Loss = Field(CrossEntropy(), description="the loss of each part; it must take shares of classes")
    weights: Mapping[str, float] = Field({}, description="weights of parts by name, by default 1")
    names: tuple[str, ...] = bound_field()
    counts: tuple[int, ...] = bound_field()
    target: Target = bound_field(ONE_CLASS)

    @model_validator(mode="after")
    def _base_has_an_output_per_class(self) -> Self:
        if self.base.outputs() != "logits" or self.base.width(3) != 3 or not self.base.takes_labels("soft"):
            raise ValueError(f"base {self.base.plugin_name()!r} is no loss of logits that takes shares")
        if any(weight < 0 for weight in self.weights.values()):
            raise ValueError("weights must be 0 or more")
        return self

    def takes_labels(self, labels: LabelKind) -> bool:
        return labels == "several"

    def with_classes(self, classes: Classes) -> Self:
        made = super().with_classes(classes)
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
        return made

    def rows(self, outputs: Tensor, labels: Tensor) -> Tensor:
        costs, total = outputs.new_zeros(len(outputs)), 0.0
        for weight, place, base in self._parts():
            own = labels[:, place]
            costs = costs + weight * base.rows(outputs[:, place], own) * (own.sum(dim=1) > 0)
            total += weight
        return costs / total

    def probabilities(self, outputs: Tensor) -> Tensor:
        import torch

        return torch.cat([base.probabilities(outputs[:, place]) for _, place, base in self._parts()], dim=1)

    def _parts(self) -> list[tuple[float, slice, Loss]]:
        """The weight, the columns and the loss of each part."""
        assert isinstance(self.target, SeveralTarget)
        target = self.target

        def make() -> list[tuple[float, slice, Loss]]:
            return [
                (self.weights.get(name, 1.0), place, self.base.with_classes(self._classes(place)))
                for name, place in target.slices.items()
            ]

        return once(self, "parts", make)

    def _classes(self, place: slice) -> Classes:
        counts = self.counts[place]
        return Classes(self.names[place], counts, total=sum(counts), target=SOFT)
