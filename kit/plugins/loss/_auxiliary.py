"""The base of losses that compare rows of a batch by their unit vectors, in addition to a classifier's loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field, field_validator

from kit.kinds import Loss, Outputs, bound_field
from kit.plugins.loss.cross_entropy import CrossEntropy

if TYPE_CHECKING:
    from torch import Tensor


class AuxiliaryLoss(Loss):
    """The base's loss of the logits + auxiliary_weight * the loss among the unit vectors of the batch.

    The batch must have several rows of a class: sampler=m_per_class.
    """

    takes: ClassVar[Outputs] = "logits_and_embedding"
    splittable: ClassVar[bool] = False
    needs_positives: ClassVar[bool] = True

    base: Loss = Field(CrossEntropy(), description="classification loss")
    auxiliary_weight: float = Field(
        1.0, gt=0, description="weight of the pair loss; the classification loss has weight 1"
    )

    names: tuple[str, ...] = bound_field()

    @field_validator("base")
    @classmethod
    def _of_logits(cls, base: Loss) -> Loss:
        if base.outputs() != "logits":
            raise ValueError(f"{base.plugin_name()} takes {base.outputs()}, not logits")
        return base

    def among(self, vectors: Tensor, labels: Tensor) -> Tensor:
        """Returns the loss of unit vectors (N, features) float32 with class numbers (N,), one number."""
        raise NotImplementedError

    def rows(self, outputs: Tensor, labels: Tensor) -> Tensor:
        width = self._width()
        return self.base.rows(outputs[:, :width], labels) + self.auxiliary_weight * self.among(
            outputs[:, width:], labels
        )

    def probabilities(self, outputs: Tensor) -> Tensor:
        return self.base.probabilities(outputs[:, : self._width()])

    def is_per_class(self) -> bool:
        return False

    def _width(self) -> int:
        """Returns how many of the outputs are logits."""
        return self.width(len(self.names))
