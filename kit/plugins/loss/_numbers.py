"""The base of losses of numbers, which the network predicts in units of the training rows' standard deviation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pydantic import Field, field_validator

from kit.errors import ConfigError, did_you_mean
from kit.kinds import Classes, Loss, bound_field
from kit.plugins.loss._device_tensors import device_tensor

if TYPE_CHECKING:
    from typing import Self

    from torch import Tensor


class NumbersLoss(Loss):
    """The weighted mean of `costs` over the columns of numbers.

    Outputs and numbers are scaled to mean 0 and standard deviation 1 of the fold's training rows, so a
    learning rate suits any unit. Predictions are scaled back.
    """

    label_kinds = ("numbers",)

    column_weights: Mapping[str, float] = Field({}, description="weights of columns by name; by default 1")
    names: tuple[str, ...] = bound_field()
    means: tuple[float, ...] = bound_field()
    scales: tuple[float, ...] = bound_field()

    @field_validator("column_weights")
    @classmethod
    def _not_negative(cls, weights: Mapping[str, float]) -> Mapping[str, float]:
        if any(weight < 0 for weight in weights.values()):
            raise ValueError("weights must be 0 or more")
        return weights

    def with_classes(self, classes: Classes) -> Self:
        unknown = [name for name in self.column_weights if name not in classes.names]
        if unknown:
            raise ConfigError(
                f"loss.column_weights: no column {unknown[0]!r}{did_you_mean(unknown[0], classes.names)}",
                code="C08",
                hint=f"the columns: {', '.join(classes.names)}",
            )
        return super().with_classes(classes)

    def costs(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Returns the cost of each output, (N, K), for targets (N, K) in the same unit."""
        raise NotImplementedError

    def targets(self, labels: Tensor) -> Tensor:
        """Returns labels (N, K) in the unit of the outputs."""
        shift, scale = self._scaling(labels)
        return (labels - shift) / scale

    def rows(self, outputs: Tensor, labels: Tensor) -> Tensor:
        costs = self.costs(outputs, self.targets(labels))
        if not self.column_weights:
            return costs.mean(dim=1)
        weights = device_tensor(self, "weights", outputs.device, self._weights)
        return costs @ weights

    def probabilities(self, outputs: Tensor) -> Tensor:
        shift, scale = self._scaling(outputs)
        return outputs * scale + shift

    def _scaling(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Returns mean and standard deviation of each column, (K,)."""
        count = values.shape[1]
        shift = device_tensor(self, "means", values.device, lambda: list(self.means) or [0.0] * count)
        scale = device_tensor(self, "scales", values.device, lambda: list(self.scales) or [1.0] * count)
        return shift, scale

    def _weights(self) -> list[float]:
        """Returns the weight of each column, of sum 1."""
        raw_weights = [self.column_weights.get(name, 1.0) for name in self.names]
        return [weight / sum(raw_weights) for weight in raw_weights]
