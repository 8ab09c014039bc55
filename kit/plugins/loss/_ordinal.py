"""The base of losses of grades: ordered classes, of which neighbours are similar."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from kit.kinds import Loss

if TYPE_CHECKING:
    from torch import Tensor


class OrdinalLoss(Loss):
    """One output for each step from a grade to the next: the probability that the row's grade is above it.

    The grades are the classes in their order: by number, or as `data.class_list` lists them.
    """

    ordered: ClassVar[bool] = True

    def width(self, classes: int) -> int:
        return classes - 1

    def is_per_class(self) -> bool:
        return False

    def above(self, outputs: Tensor) -> Tensor:
        """Returns the probability that the grade is above each step, (N, K - 1), which never increases from
        step to step.
        """
        raise NotImplementedError

    def probabilities(self, outputs: Tensor) -> Tensor:
        import torch

        above = self.above(outputs)
        ones = torch.ones_like(above[:, :1])
        return torch.cat([ones, above], dim=1) - torch.cat([above, torch.zeros_like(ones)], dim=1)

    def levels(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Returns 1 if a row's grade is above a step, else 0, (N, K - 1)."""
        import torch

        steps = torch.arange(outputs.shape[1], device=outputs.device)
        return (labels[:, None] > steps).to(outputs.dtype)
