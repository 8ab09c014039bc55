"""BCE range: binary cross-entropy of numbers between two limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kit.errors import ConfigError
from kit.kinds import Classes, bound_field
from kit.plugins.loss._numbers import NumbersLoss

if TYPE_CHECKING:
    from typing import Self

    from torch import Tensor


class BoundedBce(NumbersLoss):
    """Binary cross-entropy of each number as a share of the way from the lower to the upper limit.

    The limits are those of `data.target_range`, and predictions never leave them. Raises ConfigError C08 if
    the config has no limits.

    Source: the first places of PetFinder Pawpularity trained score / 100 in this way; torch's
    binary_cross_entropy_with_logits.
    """

    target_range: tuple[float, float] | None = bound_field(None)

    def with_classes(self, classes: Classes) -> Self:
        if classes.target_range is None:
            raise ConfigError(
                "loss 'bce_range' needs the lowest and highest number that a label can have",
                code="C08",
                hint="data.target_range=[0,100]",
            )
        return super().with_classes(classes)

    def costs(self, outputs: Tensor, targets: Tensor) -> Tensor:
        from torch.nn import functional

        return functional.binary_cross_entropy_with_logits(outputs, targets, reduction="none")

    def targets(self, labels: Tensor) -> Tensor:
        low, high = self._limits()
        return (labels - low) / (high - low)

    def probabilities(self, outputs: Tensor) -> Tensor:
        low, high = self._limits()
        return outputs.sigmoid() * (high - low) + low

    def _limits(self) -> tuple[float, float]:
        return self.target_range or (0.0, 1.0)
