"""Kinds of training: loss, optimizer and learning-rate schedule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

from kit.kinds.classes import Classes
from kit.kinds.plugin import Plugin, is_known

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import Tensor

from kit.kinds.network import HEADS, Outputs


class Loss(Plugin):
    """Says how wrong each row is."""

    kind: ClassVar[str] = "loss"
    takes: ClassVar[Outputs] = "logits"
    splittable: ClassVar[bool] = True  # False: it compares rows within the batch, so no micro-batches

    def mix(
        self, images: Tensor, labels: Tensor, rng: np.random.Generator, progress: float = 0.0
    ) -> tuple[Tensor, list[tuple[float, Tensor]]]:
        """Mixes a whole effective batch. `progress` [0, 1) is the part of the run's steps that is done.

        Returns the mixed images, and label sets with shares that sum to 1.
        """
        base = self.nested()
        return base.mix(images, labels, rng, progress) if base else (images, [(1.0, labels)])

    def rows(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """The loss of each row (N,), for outputs (N, K) and class numbers (N,) or multi-hot float32 (N, K)."""
        raise NotImplementedError

    def probabilities(self, outputs: Tensor) -> Tensor:
        """Outputs (N, K) as probabilities (N, K). A wrapper calls its base."""
        return base.probabilities(outputs) if (base := self.nested()) else outputs.softmax(dim=1)

    def width(self, classes: int) -> int:
        """How many outputs of the head it takes: one a class, unless it says otherwise; a wrapper asks its base."""
        return base.width(classes) if (base := self.nested()) else classes

    def is_by_class(self) -> bool:
        """Whether output k is that of class k, as a margin needs it; a wrapper asks its base."""
        return (base := self.nested()) is None or base.is_by_class()

    def nested(self) -> Loss | None:
        """The loss that this one wraps, in its field `base`, if any."""
        base = getattr(self, "base", None)
        return base if isinstance(base, Loss) else None

    def outputs(self) -> Outputs:
        """What the network must give: logits, unless the loss says otherwise; a wrapper that does not asks its base."""
        base = None if self.takes != "logits" else self.nested()
        return base.outputs() if base else self.takes

    def head(self) -> str:
        """The head used where the config names none; what takes logits asks its base."""
        base = None if self.takes != "logits" else self.nested()
        return base.head() if base else HEADS[self.takes]

    def can_be_split(self) -> bool:
        """Whether micro-batches leave the loss of a batch as it is."""
        base = self.nested()
        return self.splittable and (base is None or base.can_be_split())

    def bind(self, classes: Classes) -> Self:
        """The same loss, knowing the competition's classes; nested ones are bound too."""
        names = [name for name, field in type(self).model_fields.items() if is_known(field)]
        updates: dict[str, Any] = {name: getattr(classes, name) for name in names}
        base = self.nested()
        return self.model_copy(update={**updates, **({"base": base.bind(classes)} if base else {})})


class Optimizer(Plugin):
    """Moves the weights."""

    kind: ClassVar[str] = "optimizer"

    def build(self, parameters: Sequence[tuple[str, torch.nn.Parameter]]) -> torch.optim.Optimizer:
        """torch's optimizer over named parameters. Each group's `lr` is the peak that the scheduler scales."""
        raise NotImplementedError


class Scheduler(Plugin):
    """Says how the learning rate moves over a run."""

    kind: ClassVar[str] = "scheduler"

    def factor(self, progress: float) -> float:
        """The factor of the peak learning rate after `progress` (0, 1] of the run's steps."""
        raise NotImplementedError
