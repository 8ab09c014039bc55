"""Label smoothing within groups of similar classes."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from pydantic import Field

from kit.errors import ConfigError
from kit.kinds import Classes, Loss, bound_field
from kit.plugins.loss._device_tensors import device_tensor

if TYPE_CHECKING:
    from typing import Self

    from torch import Tensor


class GroupSmoothing(Loss):
    """Cross-entropy with label smoothing, most of which goes to the classes of the same superclass.

    The true class gets 1 - e. The other classes of its group share e * g evenly, and all classes share e * (1
    - g). If a group has only one class, g is 0. The groups come from the column `data.superclasses` of
    `data.class_list`.

    Source: the winners of a retail-product competition, who smoothed labels among products of similar shape.
    With one group per class it is label smoothing (Szegedy et al. 2016, section 7).
    """

    label_kinds = ("class_index", "soft")

    smoothing: float = Field(
        0.1, ge=0, lt=1, description="smoothing e: the probability that the true class gives up"
    )
    within_group: float = Field(0.8, ge=0, le=1, description="g, the part of e that stays in the superclass")
    groups: tuple[str, ...] = bound_field()

    def with_classes(self, classes: Classes) -> Self:
        if not classes.groups:
            raise ConfigError(
                "loss 'group_smoothing' needs the classes' groups",
                code="C08",
                hint="data.class_list=classes.csv data.superclasses=shape_group, a column with each class's group",
            )
        return super().with_classes(classes)

    def targets(self) -> list[list[float]]:
        """Returns the target of each class, (classes, classes). Every row sums to 1."""
        count = len(self.groups)
        rows = []
        for true, group in enumerate(self.groups):
            others = [k for k, other in enumerate(self.groups) if other == group and k != true]
            within = self.within_group if others else 0.0
            row = [self.smoothing * (1 - within) / count] * count
            row[true] += 1 - self.smoothing
            for k in others:
                row[k] += self.smoothing * within / len(others)
            rows.append(row)
        return rows

    def rows(self, outputs: Tensor, labels: Tensor) -> Tensor:
        if not self.groups:
            raise ConfigError(
                "loss 'group_smoothing' is not bound to classes", code="C08", hint="loss.bind(classes)"
            )
        logs = outputs.log_softmax(1)
        number = device_tensor(self, "group", outputs.device, lambda: self._group_numbers()[0])
        in_group = device_tensor(self, "in group", outputs.device, lambda: self._shares()[0])
        of_all = device_tensor(self, "of all", outputs.device, lambda: self._shares()[1])
        # the targets of K classes are K * K numbers; sums over groups give the same
        sums = logs.new_zeros(len(logs), len(set(self.groups))).index_add(1, number, logs)
        terms = (1 - self.smoothing) * logs + of_all * logs.sum(1, keepdim=True)
        terms = terms + in_group * (sums[:, number] - logs)
        return -(labels * terms).sum(1) if labels.ndim == 2 else -terms.gather(1, labels[:, None])[:, 0]

    def _group_numbers(self) -> tuple[list[int], list[int]]:
        """Returns the number of each class's group, and its number of classes, both (K,)."""
        numbers = {group: number for number, group in enumerate(dict.fromkeys(self.groups))}
        sizes = Counter(self.groups)
        return [numbers[group] for group in self.groups], [sizes[group] for group in self.groups]

    def _shares(self) -> tuple[list[float], list[float]]:
        """Returns the share that a true class gives to each other class of its group, and to each class of
        all, both (K,).
        """
        sizes, e, count = self._group_numbers()[1], self.smoothing, len(self.groups)
        within = [self.within_group if size > 1 else 0.0 for size in sizes]
        in_group = [e * share / max(size - 1, 1) for share, size in zip(within, sizes, strict=True)]
        return in_group, [e * (1 - share) / count for share in within]
