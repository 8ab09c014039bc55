"""Row weighted: any loss with a weight for each row."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from kit.kinds import Loss, Target, bound_field
from kit.kinds.targets import ONE_CLASS
from kit.plugins.loss.cross_entropy import CrossEntropy

if TYPE_CHECKING:
    from torch import Tensor


class WeighedRows(Loss):
    """Each row's loss times its weight in the column that `data.weight` names, such as its number of votes.

    Weights are scaled to a mean of 1 over a fold's training rows. If images are mixed, each label keeps the
    weight of its own row. It is the outermost loss: `loss=row_weighted loss.base=mixup`.

    Source: sample_weight of scikit-learn's estimators.
    """

    label_kinds = ("class_index", "multi_hot", "numbers", "soft", "several")
    weighs_rows: ClassVar[bool] = True

    base: Loss = Field(CrossEntropy(), description="loss that is weighted")
    names: tuple[str, ...] = bound_field()
    target: Target = bound_field(ONE_CLASS)

    def rows(self, outputs: Tensor, labels: Tensor) -> Tensor:
        plain, weights = self._split(labels)
        costs = self.base.rows(outputs, plain)
        return costs if weights is None else costs * weights

    def _split(self, labels: Tensor) -> tuple[Tensor, Tensor | None]:
        """Returns labels as the base takes them, and the weights (N,) of the last column, if it has one."""
        if self.target == ONE_CLASS:
            return (labels, None) if labels.ndim == 1 else (labels[:, 0].long(), labels[:, 1])
        width = len(self.names)
        return (labels, None) if labels.shape[1] == width else (labels[:, :width], labels[:, width])
