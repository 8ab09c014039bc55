"""Label smoothing within groups of classes that look alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from kit.errors import ConfigError
from kit.kinds import Classes, Loss, bound_field

if TYPE_CHECKING:
    from typing import Self

    from torch import Tensor


class GroupSmoothing(Loss):
    """Cross-entropy with label smoothing, most of which goes to the classes of the same shape group.

    The true class gets 1 - e, the other classes of its group share e * g evenly, all classes share e * (1 - g); in a
    group of one, g is 0. The groups come from the column `data.class_groups` of `data.classes`.

    Source: the winners of a retail-product competition, who smoothed labels among products of similar shape; with one
    group a class it is label smoothing (Szegedy et al. 2016, section 7).
    """

    label_kinds = ("numbers", "soft")

    smoothing: float = Field(0.1, ge=0, lt=1, description="e, the share that the true class gives up")
    within: float = Field(0.8, ge=0, le=1, description="g, the part of e that stays in the shape group")
    groups: tuple[str, ...] = bound_field()

    def with_classes(self, classes: Classes) -> Self:
        if not classes.groups:
            raise ConfigError(
                "loss 'group_smoothing' needs the classes' groups",
                code="C08",
                hint="data.classes=classes.csv data.class_groups=shape_group, a column that names each class's group",
            )
        return super().with_classes(classes)

    def targets(self) -> list[list[float]]:
        """The target of each class, (classes, classes); every row sums to 1."""
        count = len(self.groups)
        rows = []
        for true, group in enumerate(self.groups):
            others = [k for k, other in enumerate(self.groups) if other == group and k != true]
            within = self.within if others else 0.0
            row = [self.smoothing * (1 - within) / count] * count
            row[true] += 1 - self.smoothing
            for k in others:
                row[k] += self.smoothing * within / len(others)
            rows.append(row)
        return rows

    def rows(self, outputs: Tensor, labels: Tensor) -> Tensor:
        import torch

        if not self.groups:
            raise ConfigError(
                "loss 'group_smoothing' is not bound to classes", code="C08", hint="loss.bind(classes)"
            )
        targets = torch.tensor(self.targets(), device=outputs.device)
        own = labels @ targets if labels.ndim == 2 else targets[labels]
        return -(own * outputs.log_softmax(1)).sum(1)
