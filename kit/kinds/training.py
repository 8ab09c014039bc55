"""Kinds of training: loss, optimizer and learning-rate schedule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

from kit.kinds.classes import Classes
from kit.kinds.plugin import Plugin, is_bound

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import Tensor

from kit.kinds.network import DEFAULT_HEAD, Outputs, find_outputs_fault


class Loss(Plugin):
    """Says how wrong each row is."""

    kind: ClassVar[str] = "loss"
    takes: ClassVar[Outputs] = "logits"
    ordered: ClassVar[bool] = False  # True: classes are grades, in their order
    weighs_rows: ClassVar[bool] = False  # True: labels may have a column of weights behind them
    splittable: ClassVar[bool] = True  # False: it compares rows within the batch, so no micro-batches
    needs_positives: ClassVar[bool] = False  # True: it learns from pairs of rows of one class in a batch

    @classmethod
    def find_fault(cls) -> str:
        """What is wrong with `takes`."""
        return find_outputs_fault("takes", cls.takes)

    def mix(
        self, images: Tensor, labels: Tensor, rng: np.random.Generator, progress: float = 0.0
    ) -> tuple[Tensor, list[tuple[float, Tensor]]]:
        """Mixes a whole effective batch. `progress` [0, 1) is the part of the run's steps that is done.

        Returns the mixed images, and label sets with shares that sum to 1.
        """
        base = self.base_loss()
        return base.mix(images, labels, rng, progress) if base else (images, [(1.0, labels)])

    def rows(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """The loss of each row (N,), for outputs (N, K) and class numbers (N,) or multi-hot float32 (N, K)."""
        raise NotImplementedError

    def probabilities(self, outputs: Tensor) -> Tensor:
        """Outputs (N, K) as probabilities (N, K). A wrapper calls its base."""
        return base.probabilities(outputs) if (base := self.base_loss()) else outputs.softmax(dim=1)

    def width(self, classes: int) -> int:
        """How many outputs of the head it takes: one a class, unless it says otherwise; a wrapper asks its base."""
        return base.width(classes) if (base := self.base_loss()) else classes

    def is_per_class(self) -> bool:
        """Whether output k is that of class k, as a margin needs it; a wrapper asks its base."""
        return (base := self.base_loss()) is None or base.is_per_class()

    def is_ordered(self) -> bool:
        """Whether it takes classes for grades in an order; a wrapper asks its base."""
        base = self.base_loss()
        return self.ordered or (base is not None and base.is_ordered())

    def base_loss(self) -> Loss | None:
        """The loss that this one wraps, in its field `base`, if any."""
        base = getattr(self, "base", None)
        return base if isinstance(base, Loss) else None

    def outputs(self) -> Outputs:
        """What the network must give: logits, unless the loss says otherwise; a wrapper that does not asks its base."""
        base = None if self.takes != "logits" else self.base_loss()
        return base.outputs() if base else self.takes

    def head(self) -> str:
        """The head used where the config names none; what takes logits asks its base."""
        base = None if self.takes != "logits" else self.base_loss()
        return base.head() if base else DEFAULT_HEAD[self.takes]

    def is_splittable(self) -> bool:
        """Whether micro-batches leave the loss of a batch as it is."""
        base = self.base_loss()
        return self.splittable and (base is None or base.is_splittable())

    def with_classes(self, classes: Classes) -> Self:
        """The same loss, knowing the competition's classes; nested ones are bound too."""
        names = [name for name, field in type(self).model_fields.items() if is_bound(field)]
        updates: dict[str, Any] = {name: getattr(classes, name) for name in names}
        base = self.base_loss()
        return self.model_copy(update={**updates, **({"base": base.with_classes(classes)} if base else {})})


class Optimizer(Plugin):
    """Moves the weights."""

    kind: ClassVar[str] = "optimizer"

    @property
    def state_tensors(self) -> int:
        """How many tensors of a weight's size a checkpoint stores for each weight, if that is known; otherwise 0."""
        return 0

    def averages_weights(self) -> bool:
        """Whether what it builds has `write_average`. A wrapper asks its base."""
        base = getattr(self, "base", None)
        return isinstance(base, Optimizer) and base.averages_weights()

    def build(self, parameters: Sequence[tuple[str, torch.nn.Parameter]]) -> torch.optim.Optimizer:
        """torch's optimizer over named parameters. Each group's `lr` is the peak that the scheduler scales.

        If it has an attribute `perturb`, a step has two passes. `perturb()` is called after the first one, moves the
        weights, and returns a function that puts them back before the update.

        If it has an attribute `write_average`, other weights predict than those that are trained.
        `write_average(weights, targets)` writes what predicts in place of each weight into its target.
        """
        raise NotImplementedError


class Scheduler(Plugin):
    """Says how the learning rate moves over a run."""

    kind: ClassVar[str] = "scheduler"

    def factor(self, progress: float) -> float:
        """The factor of the peak learning rate at `progress` (0, 1) of the run's steps."""
        raise NotImplementedError
