"""Levels: any loss of the class and of its parents, whose probabilities are sums over their classes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import Field, model_validator

from kit.kinds import Classes, Loss, bound_field
from kit.kinds.levels import Level
from kit.plugins.loss._device_tensors import device_tensor
from kit.plugins.loss._levels import add_labels, add_logits, check_levels, classes_of_level, numbers_of_nodes
from kit.plugins.loss.cross_entropy import CrossEntropy

if TYPE_CHECKING:
    from torch import Tensor


class Levels(Loss):
    """The weighted mean of the base's loss of the class and of its parent on each level, such as genus and family.

    A parent's probability is the sum of its classes, so its logit is the log-sum-exp of theirs. The network has an
    output for each class alone, and its predictions of all levels agree. The levels are those of `data.parents` or
    `data.parent_list`. Raises ConfigError C08 if there are none, C47 for a weight of an unknown level.

    Source: the coarse loss of Ridnik et al. 2021, "ImageNet-21K Pretraining for the Masses" (semantic softmax), with
    the sums over classes of Deng et al. 2014, "Large-Scale Object Classification Using Label Relation Graphs".
    """

    label_kinds = ("class_index", "soft")

    base: Loss = Field(CrossEntropy(), description="the loss of the class and of each parent")
    weights: Mapping[str, Annotated[float, Field(ge=0)]] = Field(
        {}, description="weights of levels by name, by default 1; the class itself has the weight 1"
    )
    levels: tuple[Level, ...] = bound_field()
    bases: tuple[Loss, ...] = bound_field()  # the base a level, knowing its parents as classes

    @model_validator(mode="after")
    def _base_has_an_output_per_class(self) -> Self:
        if self.base.outputs() != "logits" or self.base.width(3) != 3 or not self.base.is_per_class():
            raise ValueError(f"base {self.base.plugin_name()!r} is no loss of a logit per class")
        return self

    def with_classes(self, classes: Classes) -> Self:
        check_levels("levels", classes.levels, self.weights)
        bases = tuple(self.base.with_classes(classes_of_level(classes, level)) for level in classes.levels)
        base = self.base.with_classes(classes)
        return self.model_copy(update={"base": base, "bases": bases, "levels": classes.levels})

    def rows(self, outputs: Tensor, labels: Tensor) -> Tensor:
        costs, total = self.base.rows(outputs, labels), 1.0
        logits = outputs
        for at, (level, base) in enumerate(zip(self.levels, self.bases, strict=True)):
            # the levels are a tree, so the sums of a level are those of the level below it, which is shorter
            below = device_tensor(
                self, f"nodes {level.name}", outputs.device, partial(numbers_of_nodes, self.levels, at)
            )
            logits = add_logits(logits, below, len(level.nodes))
            weight = self.weights.get(level.name, 1.0)
            if not weight:
                continue
            numbers = device_tensor(
                self, f"parents {level.name}", outputs.device, partial(getattr, level, "numbers")
            )
            costs = costs + weight * base.rows(logits, add_labels(labels, numbers, len(level.nodes)))
            total += weight
        return costs / total
