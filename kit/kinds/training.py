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
    """Computes the loss of each row."""

    kind: ClassVar[str] = "loss"
    takes: ClassVar[Outputs] = "logits"
    ordered: ClassVar[bool] = False  # True: classes are ordered grades
    weighs_rows: ClassVar[bool] = False  # True: labels may have a column of weights at the end
    # True: views of test rows follow the rows of a batch, as its options `ratio` and `strong` say
    reads_unlabelled: ClassVar[bool] = False
    splittable: ClassVar[bool] = True  # False: it compares rows within the batch, so no micro-batches
    needs_positives: ClassVar[bool] = False  # True: it learns from pairs of rows of one class in a batch

    @classmethod
    def find_fault(cls) -> str:
        """Returns the error of `takes`; empty if it is valid."""
        return find_outputs_fault("takes", cls.takes)

    def mix(
        self, images: Tensor, labels: Tensor, rng: np.random.Generator, progress: float = 0.0
    ) -> tuple[Tensor, list[tuple[float, Tensor]]]:
        """Mixes a whole effective batch. `progress` [0, 1) is the finished part of the run's steps.

        Returns the mixed images, and label sets with shares that sum to 1.
        """
        base = self.base_loss()
        return base.mix(images, labels, rng, progress) if base else (images, [(1.0, labels)])

    def rows(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Returns the loss of each row (N,), for outputs (N, K) and class numbers (N,) or multi-hot float32 (N, K)."""
        raise NotImplementedError

    def probabilities(self, outputs: Tensor) -> Tensor:
        """Turns outputs (N, K) into probabilities (N, K). A wrapper calls its base."""
        return base.probabilities(outputs) if (base := self.base_loss()) else outputs.softmax(dim=1)

    def width(self, classes: int) -> int:
        """Returns the number of head outputs that it takes, by default one per class. A wrapper returns its base's."""
        return base.width(classes) if (base := self.base_loss()) else classes

    def is_per_class(self) -> bool:
        """Whether output k belongs to class k, as a margin requires. A wrapper returns its base's value."""
        return (base := self.base_loss()) is None or base.is_per_class()

    def is_ordered(self) -> bool:
        """Whether it treats classes as ordered grades. A wrapper returns its base's value."""
        base = self.base_loss()
        return self.ordered or (base is not None and base.is_ordered())

    def base_loss(self) -> Loss | None:
        """Returns the loss that this one wraps, in its field `base`, if any."""
        base = getattr(self, "base", None)
        return base if isinstance(base, Loss) else None

    def outputs(self) -> Outputs:
        """Returns the outputs that the network must give, by default logits.

        A wrapper without its own returns its base's.
        """
        base = None if self.takes != "logits" else self.base_loss()
        return base.outputs() if base else self.takes

    def head(self) -> str:
        """Returns the head that is used if the config names none. A loss that takes logits returns its base's."""
        base = None if self.takes != "logits" else self.base_loss()
        return base.head() if base else DEFAULT_HEAD[self.takes]

    def is_splittable(self) -> bool:
        """Whether a batch can be split into micro-batches without changing its loss."""
        base = self.base_loss()
        return self.splittable and (base is None or base.is_splittable())

    def with_classes(self, classes: Classes) -> Self:
        """Returns the same loss with the competition's classes, also for nested losses."""
        names = [name for name, field in type(self).model_fields.items() if is_bound(field)]
        updates: dict[str, Any] = {name: getattr(classes, name) for name in names}
        base = self.base_loss()
        return self.model_copy(update={**updates, **({"base": base.with_classes(classes)} if base else {})})


class Optimizer(Plugin):
    """Updates the weights."""

    kind: ClassVar[str] = "optimizer"

    @property
    def state_tensors(self) -> int:
        """The number of tensors of a weight's size that a checkpoint stores for each weight; 0 if it is unknown."""
        return 0

    def averages_weights(self) -> bool:
        """Whether its torch optimizer has `write_average`. A wrapper returns its base's value."""
        base = getattr(self, "base", None)
        return isinstance(base, Optimizer) and base.averages_weights()

    def build(self, parameters: Sequence[tuple[str, torch.nn.Parameter]]) -> torch.optim.Optimizer:
        """Returns torch's optimizer over named parameters. Each group's `lr` is the peak that the scheduler scales.

        If it has an attribute `perturb`, a step has two passes. kit calls `perturb()` after the first one. It moves
        the weights and returns a function that puts them back before the update.

        If it has an attribute `write_average`, it predicts with other weights than those that it trains.
        `write_average(weights, targets)` writes the predicting value of each weight into its target.
        """
        raise NotImplementedError


class Scheduler(Plugin):
    """Sets the learning rate over a run."""

    kind: ClassVar[str] = "scheduler"

    def factor(self, progress: float) -> float:
        """Returns the factor of the peak learning rate at `progress` (0, 1) of the run's steps."""
        raise NotImplementedError
