"""SeveralTarget: rows whose answer has several parts, such as the root and the vowel of a character."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from kit.kinds.targets import NUMBERS, TOLERANCE, Faults, LabelKind, Target, one_hot

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from kit.core.arrays import Probabilities, Targets

PART_SEPARATOR = "="  # separates a softmax part and its class in the name of a column

# softmax: one class of several. sigmoid: yes or no in each column. number: a number in each column
PartKind = Literal["softmax", "sigmoid", "number"]


@dataclass(frozen=True)
class AnswerPart:
    """A part of the answer: its name, its columns and their kind."""

    name: str
    place: slice
    kind: PartKind = "softmax"


@dataclass(frozen=True)
class SeveralTarget(Target):
    """Several answers per row, with adjacent columns: a class, yes or no, or a number for each part.

    `parts` are the name and the number of columns of each, in order, and `kinds` their kinds, by default
    softmax. Labels of a softmax part are 0 and 1 of each class, without a 1 if a row has no label of it. The
    cells of other parts are NaN if a row has no label.

    Predictions are a distribution over the classes of a softmax part, the probability of yes for each column
    of a sigmoid part, and numbers in the labels' unit for a number part.
    """

    parts: tuple[tuple[str, int], ...] = ()
    kinds: tuple[PartKind, ...] = ()

    kind: ClassVar[LabelKind] = "several"
    has_decisions: ClassVar[bool] = False
    usual_metrics: ClassVar[tuple[str, ...]] = ("parts",)
    prediction: ClassVar[str] = "predictions of each part"

    @classmethod
    def of(cls, columns: Sequence[str]) -> SeveralTarget:
        """Returns the target of softmax parts whose columns have names such as `part=class`."""
        sizes: dict[str, int] = {}
        for column in columns:
            part = column.partition(PART_SEPARATOR)[0]
            sizes[part] = sizes.get(part, 0) + 1
        return cls(tuple(sizes.items()))

    @property
    def layout(self) -> tuple[AnswerPart, ...]:
        """The parts with their columns and kinds."""
        ends = list(accumulate(size for _, size in self.parts))
        softmax: PartKind = "softmax"
        plain = (softmax,) * len(self.parts)
        return tuple(
            AnswerPart(name, slice(end - size, end), kind)
            for (name, size), end, kind in zip(self.parts, ends, self.kinds or plain, strict=True)
        )

    @property
    def slices(self) -> dict[str, slice]:
        """The columns of each part."""
        return {part.name: part.place for part in self.layout}

    @property
    def is_probability(self) -> bool:
        return "number" not in self.kinds

    def number_columns(self, columns: int) -> np.ndarray:
        import numpy as np

        is_number = np.zeros(columns, bool)
        for span in self._places("number"):
            is_number[span] = True
        return is_number

    def find_faults(self, predictions: Probabilities, free: bool = False) -> Faults:
        import numpy as np

        faults = super().find_faults(predictions, free)
        shares = predictions[:, ~self.number_columns(predictions.shape[1])]
        if not self.is_probability:
            with np.errstate(invalid="ignore"):
                faults.insert(0, ("a negative probability", np.asarray((shares < 0).any(axis=1))))
                faults.insert(0, ("a probability above 1", np.asarray((shares > 1).any(axis=1))))
        places = self._places("softmax")
        if not free and places:
            with np.errstate(invalid="ignore", over="ignore"):
                wrong = [
                    ~(np.abs(predictions[:, columns].sum(axis=1, dtype=np.float64) - 1) <= TOLERANCE)
                    for columns in places
                ]
            faults.insert(0, ("the sum of a part is not 1", np.logical_or.reduce(wrong)))
        return faults

    def normalise(self, predictions: Probabilities) -> Probabilities:
        import numpy as np

        normalised = np.array(predictions)
        for columns in self._places("softmax"):
            normalised[:, columns] /= predictions[:, columns].sum(axis=1, keepdims=True)
        return normalised

    def to_logs(self, predictions: Tensor, least: float) -> Tensor:
        if not self.is_probability:
            return super().to_logs(predictions, least)
        import torch

        return torch.cat(
            [
                predictions[:, part.place].clamp(min=least).log()
                if part.kind == "softmax"
                else predictions[:, part.place].logit(least)
                for part in self.layout
            ],
            dim=1,
        )

    def from_logs(self, logs: Tensor) -> Tensor:
        import torch

        return torch.cat(
            [
                logs[:, part.place].softmax(dim=1)
                if part.kind == "softmax"
                else logs[:, part.place].sigmoid()
                for part in self.layout
            ],
            dim=1,
        )

    def count_rows(self, labels: Targets, columns: int) -> np.ndarray:
        """Counts the rows of each class; for a sigmoid column those with yes, for a number those with a number."""
        import numpy as np

        sums = np.nansum(labels, axis=0)
        return np.asarray(
            np.where(self.number_columns(columns), (labels == labels).sum(axis=0), sums), dtype=np.int64
        )

    def find_lack(self, labels: Targets, columns: Sequence[str]) -> str:
        import numpy as np

        lacks = []
        for part in self.layout:
            own = labels[:, part.place]
            if part.kind == "softmax":
                different = [own.shape[1]]
            else:
                different = [len(np.unique(column[column == column])) for column in own.T]
            if min(different) < 2:
                what = "number" if part.kind == "number" else "class"
                lacks.append(f"all rows have the same {what} in part {part.name}")
        return "; ".join(lacks)

    def strata(self, labels: Targets, folds: int) -> np.ndarray:
        """Returns the classes of the softmax part with the most classes. Rows without its label are a stratum too.

        Without a softmax part it uses the first part: each combination of yes and no, or ranges of its
        numbers.
        """
        import numpy as np

        soft = [part for part in self.layout if part.kind == "softmax"]
        if not soft:
            return self._part_strata(labels, self.layout[0], folds)
        columns = max(soft, key=lambda part: part.place.stop - part.place.start).place
        own = labels[:, columns]
        return np.asarray(np.where(own.any(axis=1), own.argmax(axis=1), own.shape[1]), dtype=np.int64)

    def marks(self, labels: Targets, columns: int, folds: int) -> np.ndarray:
        if not self.kinds:
            return labels
        import numpy as np

        blocks = [
            one_hot(self._part_strata(labels, part, folds))
            if part.kind == "number"
            else np.nan_to_num(labels[:, part.place])
            for part in self.layout
        ]
        return np.concatenate(blocks, axis=1).astype(np.int8)

    def guessing_loss(self, columns: int) -> float:
        losses = {"sigmoid": math.log(2), "number": 1.0}
        loss_of_parts = [
            losses.get(part.kind, math.log(max(part.place.stop - part.place.start, 1)))
            for part in self.layout
        ]
        return sum(loss_of_parts) / max(len(loss_of_parts), 1)

    def prior(self, labels: Targets, columns: int) -> np.ndarray:
        import numpy as np

        sums = np.asarray(np.nansum(labels, axis=0, dtype=np.float64))
        some = np.maximum((labels == labels).sum(axis=0), 1)
        for span in self._places("softmax"):
            some[span] = max(sums[span].sum(), 1)
        return np.asarray(sums / some)

    def guess(self, rows: int, columns: int) -> np.ndarray:
        import numpy as np

        values = {"sigmoid": 0.5, "number": 0.0}
        sizes = ((part.kind, part.place.stop - part.place.start) for part in self.layout)
        shares = [np.full(size, values.get(kind, 1 / size), np.float32) for kind, size in sizes]
        return np.tile(np.concatenate(shares), (rows, 1))

    def names_of(self, label: Any, columns: Sequence[str]) -> tuple[str, ...]:
        texts: list[str] = []
        for part in self.layout:
            for at in range(part.place.start, part.place.stop):
                if part.kind == "number":
                    if label[at] == label[at]:
                        texts.append(f"{columns[at]} {float(label[at]):.6g}")
                elif label[at] > 0.5:
                    texts.append(columns[at])
        return tuple(texts)

    def describe(self, prediction: np.ndarray, columns: Sequence[str]) -> str:
        texts: list[str] = []
        for part in self.layout:
            names, own = columns[part.place], prediction[part.place]
            if part.kind == "softmax":
                texts.append(names[int(own.argmax())])
            elif part.kind == "number":
                texts += (
                    NUMBERS.names_of(own, names) if len(names) > 1 else [f"{names[0]} {float(own[0]):.6g}"]
                )
            else:
                texts += [
                    name if value >= 0.5 else f"no {name}" for name, value in zip(names, own, strict=True)
                ]
        return ", ".join(texts)

    def find_missing(self, labels: Any) -> Any:
        is_missing = labels != labels
        for columns in self._places("softmax"):
            is_missing[:, columns] |= (labels[:, columns].sum(1) == 0)[:, None]
        return is_missing

    def to_json(self) -> Any:
        if not self.kinds:
            return {"several": [list(part) for part in self.parts]}
        return {"several": [[*part, kind] for part, kind in zip(self.parts, self.kinds, strict=True)]}

    def _places(self, kind: PartKind) -> list[slice]:
        """Returns the columns of each part of a kind."""
        return [part.place for part in self.layout if part.kind == kind]

    def _part_strata(self, labels: Targets, part: AnswerPart, folds: int) -> np.ndarray:
        """Returns a stratum for each row by a part of yes and no or of numbers. Rows without its label are one too."""
        import numpy as np

        own = labels[:, part.place]
        blank = np.isnan(own).any(axis=1)
        strata = np.full(len(own), -1, np.int64)
        if part.kind == "number":
            if (~blank).any():
                strata[~blank] = NUMBERS.strata(own[~blank], folds)
        else:
            strata[~blank] = np.unique(own[~blank], axis=0, return_inverse=True)[1].reshape(-1)
        return np.unique(strata, return_inverse=True)[1].reshape(-1)
