"""Any loss on each factor of a label, such as mask x gender x age."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from pydantic import Field

from kit.errors import ConfigError
from kit.kinds import Classes, Loss, bound_field
from kit.plugins.loss._device_tensors import device_tensor, once
from kit.plugins.loss.cross_entropy import CrossEntropy

if TYPE_CHECKING:
    from torch import Tensor

MIN_PROBABILITY = 1e-37  # near float32's smallest normal number, so that its logarithm is finite


class Factors(Loss):
    """Sum over a label's factors of the base's loss. Each factor has its own columns of the outputs.

    Outputs are (N, sum of the factors' values). A class's probability is the product of its values'
    probabilities, divided by the sum for all classes, which is 1 if every combination is a class. The factors
    are `data.label_parts`. Raises ConfigError if they are unknown, or if two classes have the same ones.

    Source: one classifier per factor on shared features, Caruana 1997, "Multitask Learning". The product
    assumes that the factors are independent given the image.
    """

    base: Loss = Field(CrossEntropy(), description="loss of each factor")
    factors: tuple[tuple[str, ...], ...] = bound_field()
    bases: tuple[Loss, ...] = bound_field()  # the base a factor, knowing that factor's values as its classes

    def with_classes(self, classes: Classes) -> Self:
        if not classes.factors:
            raise ConfigError(
                "loss 'factors' needs the values that make up each class",
                code="C08",
                hint='data.label_parts=["mask","age"], columns of data.class_list or parts of the label',
            )
        if len(set(classes.factors)) < len(classes.factors):
            double = sorted({"/".join(v) for v in classes.factors if classes.factors.count(v) > 1})
            raise ConfigError(
                "several classes have the same values of data.label_parts",
                code="C08",
                cases=double,
                hint="name a factor that tells them apart",
            )
        bases = tuple(
            self.base.with_classes(_of_factor(classes, at)) for at in range(len(classes.factors[0]))
        )
        return self.model_copy(update={"factors": classes.factors, "bases": bases})

    def values(self) -> list[list[str]]:
        """Returns the values of each factor, in the order of its outputs."""
        return [list(dict.fromkeys(column)) for column in zip(*self.factors, strict=True)]

    def width(self, classes: int) -> int:
        return sum(map(len, self.values()))

    def is_per_class(self) -> bool:
        return False

    def rows(self, outputs: Tensor, labels: Tensor) -> Tensor:
        import torch

        parts = zip(self.bases, self._split(outputs), self._numbers(outputs), strict=True)
        return torch.stack([base.rows(given, number[labels]) for base, given, number in parts]).sum(0)

    def probabilities(self, outputs: Tensor) -> Tensor:
        import torch

        parts = zip(self.bases, self._split(outputs), self._numbers(outputs), strict=True)
        logs = [
            base.probabilities(given).clamp(min=MIN_PROBABILITY).log()[:, number]
            for base, given, number in parts
        ]
        return torch.stack(logs).sum(0).softmax(1)

    def _split(self, outputs: Tensor) -> tuple[Tensor, ...]:
        """Returns the outputs of each factor, (N, values)."""
        widths = once(self, "widths", lambda: [len(values) for values in self.values()])
        parts: tuple[Tensor, ...] = outputs.split(widths, dim=1)
        return parts

    def _numbers(self, outputs: Tensor) -> Tensor:
        """Returns the number of each class's value of each factor, (factors, K)."""
        return device_tensor(self, "numbers", outputs.device, self._value_numbers)

    def _value_numbers(self) -> list[list[int]]:
        columns = zip(self.values(), zip(*self.factors, strict=True), strict=True)
        numbered = [({value: at for at, value in enumerate(values)}, column) for values, column in columns]
        return [[numbers[value] for value in column] for numbers, column in numbered]


def _of_factor(classes: Classes, at: int) -> Classes:
    """Returns the classes of one factor: the names of its values and their training rows."""
    rows: dict[str, int] = {}
    for values, count in zip(classes.factors, classes.counts or (0,) * len(classes.factors), strict=True):
        rows[values[at]] = rows.get(values[at], 0) + count
    return Classes(tuple(rows), tuple(rows.values()) if classes.counts else (), total=classes.total)
