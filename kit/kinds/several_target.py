"""SeveralTarget: rows whose answer has several parts, such as the root and the vowel of a character."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any, ClassVar

from kit.kinds.targets import MULTI_HOT, TOLERANCE, Faults, LabelKind, Target

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from kit.core.arrays import Probabilities, Targets

PART_SEPARATOR = "="  # between a part and its class in the name of a column


@dataclass(frozen=True)
class SeveralTarget(Target):
    """Several answers per row: one class of each part, whose columns stand side by side.

    Labels are 0 and 1 (N, K); a part without a label in a row has no 1 there. Predictions are a distribution over the
    classes of each part. `parts` are the name and the number of classes of each, in order.
    """

    parts: tuple[tuple[str, int], ...] = ()

    kind: ClassVar[LabelKind] = "several"
    has_decisions: ClassVar[bool] = False
    prediction: ClassVar[str] = "probabilities of each part"
    usual_metrics: ClassVar[tuple[str, ...]] = ("parts",)

    @classmethod
    def of(cls, columns: Sequence[str]) -> SeveralTarget:
        """The target whose columns have names such as `part=class`."""
        sizes: dict[str, int] = {}
        for column in columns:
            part = column.partition(PART_SEPARATOR)[0]
            sizes[part] = sizes.get(part, 0) + 1
        return cls(tuple(sizes.items()))

    @property
    def slices(self) -> dict[str, slice]:
        """The columns of each part."""
        ends = list(accumulate(size for _, size in self.parts))
        return {name: slice(end - size, end) for (name, size), end in zip(self.parts, ends, strict=True)}

    def find_faults(self, predictions: Probabilities, free: bool = False) -> Faults:
        import numpy as np

        faults = super().find_faults(predictions, free)
        if not free:
            with np.errstate(invalid="ignore", over="ignore"):
                wrong = [
                    ~(np.abs(predictions[:, place].sum(axis=1, dtype=np.float64) - 1) <= TOLERANCE)
                    for place in self.slices.values()
                ]
            faults.insert(0, ("the sum of a part is not 1", np.logical_or.reduce(wrong)))
        return faults

    def normalise(self, predictions: Probabilities) -> Probabilities:
        import numpy as np

        return np.concatenate(
            [
                predictions[:, place] / predictions[:, place].sum(axis=1, keepdims=True)
                for place in self.slices.values()
            ],
            axis=1,
        )

    def to_logs(self, predictions: Tensor, least: float) -> Tensor:
        return predictions.clamp(min=least).log()

    def from_logs(self, logs: Tensor) -> Tensor:
        import torch

        return torch.cat([logs[:, place].softmax(dim=1) for place in self.slices.values()], dim=1)

    def count_rows(self, labels: Targets, columns: int) -> np.ndarray:
        import numpy as np

        return np.asarray(labels.sum(axis=0, dtype=np.int64))

    def find_lack(self, labels: Targets, columns: Sequence[str]) -> str:
        single = [name for name, size in self.parts if size < 2]
        return f"all rows have the same class in part {', '.join(single)}" if single else ""

    def strata(self, labels: Targets, folds: int) -> np.ndarray:
        """The classes of the part with most of them; rows without its label are a stratum too."""
        import numpy as np

        name = max(self.parts, key=lambda part: part[1])[0]
        own = labels[:, self.slices[name]]
        return np.asarray(np.where(own.any(axis=1), own.argmax(axis=1), own.shape[1]), dtype=np.int64)

    def marks(self, labels: Targets, columns: int, folds: int) -> np.ndarray:
        return labels

    def guessing_loss(self, columns: int) -> float:
        return sum(math.log(size) for _, size in self.parts) / max(len(self.parts), 1)

    def prior(self, labels: Targets, columns: int) -> np.ndarray:
        import numpy as np

        return np.asarray(self.normalise(self.count_rows(labels, columns)[None].astype(float))[0])

    def guess(self, rows: int, columns: int) -> np.ndarray:
        import numpy as np

        shares = np.concatenate([np.full(size, 1 / size, np.float32) for _, size in self.parts])
        return np.tile(shares, (rows, 1))

    def names_of(self, label: Any, columns: Sequence[str]) -> tuple[str, ...]:
        return MULTI_HOT.names_of(label, columns)

    def describe(self, prediction: np.ndarray, columns: Sequence[str]) -> str:
        return ", ".join(
            columns[place.start + int(prediction[place].argmax())] for place in self.slices.values()
        )

    def blank_missing(self, predictions: Any, labels: Any) -> Any:
        made = predictions + 0
        for place in self.slices.values():
            made[:, place] *= labels[:, place].sum(1)[:, None] > 0
        return made

    def to_json(self) -> Any:
        return {"several": [list(part) for part in self.parts]}
