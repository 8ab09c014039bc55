"""Targets: the meaning of a table's labels and of its rows' predictions, one class for each kind of labels.

The target of a table or of predictions decides if rows sum to 1, if values are probabilities, and how many
rows a class has.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic_core import core_schema

from kit.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from kit.core.arrays import Probabilities, Targets

# class_index: class numbers (N,). multi_hot: 0 and 1 of shape (N, K). numbers: values (N, K). soft: rows (N,
# K) that sum to 1. several: 0 and 1 (N, K), one class of each part. Only for losses of rows that teachers
# labelled: taught: (N, 1 + K), a class number and then the teachers' probabilities, which are 0 if no teacher
# saw the row
LabelKind = Literal["class_index", "multi_hot", "numbers", "soft", "several", "taught"]
SEE_LABELS = frozenset(
    {"splitter", "sampler", "loss", "metric", "aggregator", "ensembler", "format", "scorer"}
)  # of the kinds of plugin
LABEL_KINDS: tuple[LabelKind, ...] = ("class_index", "multi_hot", "numbers", "soft", "several")  # of tables

MIN_NAMED_SHARE = 0.005  # smaller shares are not named in words
TOLERANCE = 1e-3  # of a row's sum; float16 probabilities of 100 classes stay within it

Faults = list[
    tuple[str, "np.ndarray"]
]  # the possible faults of a row, and the rows that have them, (N,) bool


@dataclass(frozen=True)
class Target:
    """The meaning of labels (N,) or (N, W) and predictions (N, K) of one kind. K is the number of `columns`."""

    kind: ClassVar[LabelKind] = "class_index"
    sums_to_one: ClassVar[bool] = False  # each row of predictions is a distribution over the columns
    has_classes: ClassVar[bool] = True  # each column is a class
    has_decisions: ClassVar[bool] = True  # a row is right or wrong; if False, it has an error
    prediction: ClassVar[str] = "probabilities"  # the name of a row of predictions, in words
    usual_metrics: ClassVar[tuple[str, ...]] = (
        "log_loss",
        "accuracy",
    )  # metrics by which any two runs can be compared, finest first

    @property
    def multi_label(self) -> bool:
        """Whether a row may have several labels, or none."""
        return self.kind == "multi_hot"

    @property
    def is_probability(self) -> bool:
        """Whether all predictions are numbers from 0 to 1."""
        return True

    def number_columns(self, columns: int) -> np.ndarray:
        """Returns which columns hold measured numbers, bool (K,)."""
        import numpy as np

        return np.zeros(columns, bool)

    def find_faults(self, predictions: Probabilities, free: bool = False) -> Faults:
        """Returns the faults of rows of predictions (N, K). The last fault of a row is the one that counts.

        `free` rows need not sum to 1.
        """
        import numpy as np

        faults: Faults = []
        with np.errstate(invalid="ignore", over="ignore"):
            if self.sums_to_one and not free:
                sums = predictions.sum(axis=1, dtype=np.float64)
                faults.append(("its sum is not 1", ~(np.abs(sums - 1) <= TOLERANCE)))
            elif self.is_probability:
                faults.append(("a value above 1", np.asarray((predictions > 1).any(axis=1))))
            if self.is_probability:
                faults.append(("a negative value", np.asarray((predictions < 0).any(axis=1))))
            faults.append(("an infinite value", np.asarray(np.isinf(predictions).any(axis=1))))
            faults.append(("NaN", np.asarray(np.isnan(predictions).any(axis=1))))
        return faults

    def normalise(self, predictions: Probabilities) -> Probabilities:
        """Scales averaged rows (N, K) to sum 1 if they are distributions."""
        return predictions / predictions.sum(axis=1, keepdims=True) if self.sums_to_one else predictions

    def to_logs(self, predictions: Tensor, least: float) -> Tensor:
        """Returns the logarithms of probabilities (N, K), whose mean gives a geometric mean.

        Values below `least` count as `least`.

        Raises ConfigError C12 if predictions are not probabilities.
        """
        raise ConfigError(f"{self.prediction} have no geometric mean", code="C12", hint="--merge mean")

    def from_logs(self, logs: Tensor) -> Tensor:
        """Returns the probabilities (N, K) for logarithms of `to_logs`, scaled to sum 1 if they are distributions."""
        raise NotImplementedError

    def count_rows(self, labels: Targets, columns: int) -> np.ndarray:
        """Returns the number of rows of each column, int64 (K,)."""
        raise NotImplementedError

    def count_words(self, columns: int) -> str:
        """Returns the number of columns in words, such as `5 classes`."""
        return f"{columns} {'classes' if self.has_classes else 'numbers'[: 7 if columns != 1 else 6]}"

    def find_lack(self, labels: Targets, columns: Sequence[str]) -> str:
        """Returns in words why the labels cannot be learned; empty if they can."""
        return f"all rows have the same class, {', '.join(columns)}" if len(columns) < 2 else ""

    def strata(self, labels: Targets, folds: int) -> np.ndarray:
        """Returns a stratum for each row, int64 (N,), for a stratified splitter with this number of folds."""
        raise NotImplementedError

    def marks(self, labels: Targets, columns: int, folds: int) -> np.ndarray:
        """Returns labels of each row, 0 and 1 (N, any), for an iterative splitter with this number of folds."""
        return one_hot(self.strata(labels, folds))

    def guessing_loss(self, columns: int) -> float:
        """Returns the usual loss of predictions without any knowledge."""
        return math.log(columns)

    def prior(self, labels: Targets, columns: int) -> np.ndarray:
        """Returns the prediction for a row without any information, (K,): the mean of all rows' answers."""
        return self.count_rows(labels, columns) / len(labels)

    def guess(self, rows: int, columns: int) -> np.ndarray:
        """Returns predictions float32 (rows, K) without any knowledge, such as equal probabilities."""
        import numpy as np

        return np.full((rows, columns), 1 / columns if self.sums_to_one else 0.5, np.float32)

    def names_of(self, label: Any, columns: Sequence[str]) -> tuple[str, ...]:
        """Returns one row's label in words: names of its classes, or its numbers."""
        raise NotImplementedError

    def describe(self, prediction: np.ndarray, columns: Sequence[str]) -> str:
        """Returns one row of predictions (K,) in words, such as its most probable class."""
        return str(columns[int(prediction.argmax())])

    def find_missing(self, labels: Any) -> Any:
        """Returns where rows lack a label to compare with, bool (N, K), for labels (N, K) in an array or a tensor."""
        return labels != labels

    def reorder(self, labels: Targets, order: Sequence[int]) -> np.ndarray:
        """Returns the labels after the columns were reordered. `order` has the old position of each column."""
        import numpy as np

        return np.ascontiguousarray(labels[:, list(order)])

    def to_json(self) -> Any:
        """Returns a JSON value that `target_of` reads."""
        return self.kind

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> core_schema.CoreSchema:
        """Lets a field of a plugin hold it as it is."""
        return core_schema.is_instance_schema(cls)


@dataclass(frozen=True)
class OneClassTarget(Target):
    """One class per row: labels are class numbers (N,), predictions a distribution over the classes."""

    kind: ClassVar[LabelKind] = "class_index"
    sums_to_one: ClassVar[bool] = True

    def to_logs(self, predictions: Tensor, least: float) -> Tensor:
        return predictions.clamp(min=least).log()

    def from_logs(self, logs: Tensor) -> Tensor:
        return logs.softmax(dim=1)

    def count_rows(self, labels: Targets, columns: int) -> np.ndarray:
        import numpy as np

        return np.bincount(labels, minlength=columns)

    def strata(self, labels: Targets, folds: int) -> np.ndarray:
        return labels

    def marks(self, labels: Targets, columns: int, folds: int) -> np.ndarray:
        import numpy as np

        return np.eye(columns, dtype=np.int8)[labels]

    def names_of(self, label: Any, columns: Sequence[str]) -> tuple[str, ...]:
        return (columns[label],)

    def reorder(self, labels: Targets, order: Sequence[int]) -> np.ndarray:
        import numpy as np

        number = np.empty(len(order), dtype=np.int64)
        number[list(order)] = np.arange(len(order))
        return np.asarray(number[labels])


@dataclass(frozen=True)
class MultiHotTarget(Target):
    """Any number of labels per row: labels are 0 and 1 (N, K), each class has its own probability."""

    kind: ClassVar[LabelKind] = "multi_hot"

    def to_logs(self, predictions: Tensor, least: float) -> Tensor:
        return predictions.logit(least)

    def from_logs(self, logs: Tensor) -> Tensor:
        return logs.sigmoid()

    def count_rows(self, labels: Targets, columns: int) -> np.ndarray:
        import numpy as np

        return np.asarray(labels.sum(axis=0, dtype=np.int64))

    def marks(self, labels: Targets, columns: int, folds: int) -> np.ndarray:
        return labels

    def guessing_loss(self, columns: int) -> float:
        return math.log(2)

    def names_of(self, label: Any, columns: Sequence[str]) -> tuple[str, ...]:
        import numpy as np

        return tuple(columns[int(number)] for number in np.flatnonzero(label))


@dataclass(frozen=True)
class NumbersTarget(Target):
    """Measured numbers: labels and predictions are values (N, K), each column in its own unit."""

    kind: ClassVar[LabelKind] = "numbers"
    has_classes: ClassVar[bool] = False
    has_decisions: ClassVar[bool] = False
    prediction: ClassVar[str] = "finite numbers"
    usual_metrics: ClassVar[tuple[str, ...]] = ("rmse", "mae", "r2")

    @property
    def is_probability(self) -> bool:
        return False

    def number_columns(self, columns: int) -> np.ndarray:
        import numpy as np

        return np.ones(columns, bool)

    def count_rows(self, labels: Targets, columns: int) -> np.ndarray:
        import numpy as np

        return np.full(columns, len(labels))

    def prior(self, labels: Targets, columns: int) -> np.ndarray:
        import numpy as np

        return np.asarray(labels.mean(axis=0))

    def guess(self, rows: int, columns: int) -> np.ndarray:
        import numpy as np

        return np.zeros((rows, columns), np.float32)

    def find_lack(self, labels: Targets, columns: Sequence[str]) -> str:
        import numpy as np

        equal = [name for name, column in zip(columns, labels.T, strict=True) if len(np.unique(column)) < 2]
        return f"all rows have the same number in column {', '.join(equal)}" if equal else ""

    def strata(self, labels: Targets, folds: int) -> np.ndarray:
        """Returns ranges with about equal numbers of rows: as many ranges as by Sturges' rule, each with a
        row for every fold.

        Several columns are reduced to the first principal component of their ranks.
        """
        import numpy as np

        values = labels[:, 0] if labels.shape[1] == 1 else _principal_ranks(labels)
        bins = max(1, min(1 + int(np.log2(len(values))), len(values) // folds))
        edges = np.unique(np.quantile(values, np.arange(1, bins) / bins))
        return np.searchsorted(edges, values, side="right").astype(np.int64)

    def marks(self, labels: Targets, columns: int, folds: int) -> np.ndarray:
        import numpy as np

        return np.concatenate([one_hot(self.strata(column[:, None], folds)) for column in labels.T], axis=1)

    def guessing_loss(self, columns: int) -> float:
        return 1.0  # the variance, in units of the standard deviation

    def names_of(self, label: Any, columns: Sequence[str]) -> tuple[str, ...]:
        if len(columns) == 1:
            return (f"{float(label[0]):.6g}",)
        return tuple(f"{name} {float(value):.6g}" for name, value in zip(columns, label, strict=True))

    def describe(self, prediction: np.ndarray, columns: Sequence[str]) -> str:
        return ", ".join(self.names_of(prediction, columns))


@dataclass(frozen=True)
class SoftTarget(OneClassTarget):
    """Shares of classes, such as votes: labels (N, K) of 0 or more, predictions a distribution over the classes."""

    kind: ClassVar[LabelKind] = "soft"
    has_decisions: ClassVar[bool] = False
    usual_metrics: ClassVar[tuple[str, ...]] = ("kl_divergence",)

    def count_rows(self, labels: Targets, columns: int) -> np.ndarray:
        import numpy as np

        return np.asarray((labels > 0).sum(axis=0))

    def prior(self, labels: Targets, columns: int) -> np.ndarray:
        import numpy as np

        return np.asarray(labels.mean(axis=0))

    def find_lack(self, labels: Targets, columns: Sequence[str]) -> str:
        lack = super().find_lack(labels, columns)
        return lack or ("all rows have the same shares" if (labels == labels[:1]).all() else "")

    def strata(self, labels: Targets, folds: int) -> np.ndarray:
        import numpy as np

        return np.asarray(labels.argmax(axis=1))

    def marks(self, labels: Targets, columns: int, folds: int) -> np.ndarray:
        return one_hot(self.strata(labels, folds))

    def names_of(self, label: Any, columns: Sequence[str]) -> tuple[str, ...]:
        return tuple(
            f"{name} {value:.0%}"
            for name, value in zip(columns, label.tolist(), strict=True)
            if value >= MIN_NAMED_SHARE
        )

    def reorder(self, labels: Targets, order: Sequence[int]) -> np.ndarray:
        return Target.reorder(self, labels, order)


def one_hot(strata: np.ndarray) -> np.ndarray:
    """Returns strata (N,) as 0 and 1, int8 (N, strata)."""
    import numpy as np

    strata_present = np.unique(strata)
    return np.asarray(strata[:, None] == strata_present, dtype=np.int8)


def _principal_ranks(labels: np.ndarray) -> np.ndarray:
    """Returns the first principal component (N,) of the columns' ranks."""
    import numpy as np
    from scipy.stats import rankdata

    ranks = rankdata(labels, axis=0)
    ranks -= ranks.mean(axis=0)
    _, vectors = np.linalg.eigh(ranks.T @ ranks)
    return np.asarray(np.round(ranks @ vectors[:, -1], 6))


ONE_CLASS, MULTI_HOT, NUMBERS, SOFT = OneClassTarget(), MultiHotTarget(), NumbersTarget(), SoftTarget()
PLAIN_TARGETS: Mapping[LabelKind, Target] = {one.kind: one for one in (ONE_CLASS, MULTI_HOT, NUMBERS, SOFT)}
