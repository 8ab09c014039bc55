"""ScoreContext: information about rows besides their labels, for metrics and ensemblers that need it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from pydantic_core import core_schema

from kit.kinds.targets import ONE_CLASS, Target

if TYPE_CHECKING:
    import numpy as np

    from kit.kinds.levels import Level

Wanted = Literal["classes", "superclasses", "levels", "ids", "groups", "weights"]


@dataclass(frozen=True, eq=False)
class ScoreContext:
    """Names of the classes, and ids, groups, weights and columns of N rows, aligned by position with the truth.

    Only fields that the metric's `wants` or the ensembler's `row_columns` name are filled in.
    """

    classes: tuple[str, ...] = ()
    superclasses: tuple[str, ...] = ()  # of each class, from data.superclasses
    target: Target = ONE_CLASS  # the meaning of labels and predictions of a row
    ids: np.ndarray | None = None  # (N,) of str
    groups: np.ndarray | None = None  # (N,) of str, from data.group
    weights: np.ndarray | None = None  # (N,) float64, from data.weight
    columns: Mapping[str, np.ndarray] = field(default_factory=dict)  # of a table, (N,) of str each
    levels: tuple[Level, ...] = ()  # the parents of the classes, the nearest first, from data.parents

    @property
    def multi_label(self) -> bool:
        """Whether a row may have several labels."""
        return self.target.multi_label

    @property
    def has_rows(self) -> bool:
        """Whether it has information about single rows."""
        return bool(self.columns) or any(
            values is not None for values in (self.ids, self.groups, self.weights)
        )

    def take(self, rows: np.ndarray) -> ScoreContext:
        """Returns the context of the rows at these positions or in this mask."""
        return replace(
            self,
            ids=None if self.ids is None else self.ids[rows],
            groups=None if self.groups is None else self.groups[rows],
            weights=None if self.weights is None else self.weights[rows],
            columns={name: values[rows] for name, values in self.columns.items()},
        )

    def of_classes(self, numbers: np.ndarray) -> ScoreContext:
        """Returns the context of some of the classes, for a metric that scores only these columns."""
        return replace(
            self,
            classes=tuple(self.classes[number] for number in numbers),
            superclasses=tuple(self.superclasses[number] for number in numbers) if self.superclasses else (),
            levels=tuple(level.of_classes(numbers.tolist()) for level in self.levels),
        )

    def __eq__(self, other: object) -> bool:
        """Whether both hold the same; plugins are compared field by field."""
        return isinstance(other, ScoreContext) and self._values() == other._values()

    def __hash__(self) -> int:
        return hash((self.classes, self.superclasses, self.target))

    def _values(self) -> tuple[Any, ...]:
        rows = (
            None if values is None else values.tolist() for values in (self.ids, self.groups, self.weights)
        )
        columns = {name: values.tolist() for name, values in self.columns.items()}
        return (self.classes, self.superclasses, self.target, self.levels, columns, *rows)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> core_schema.CoreSchema:
        """Lets a field of a plugin hold it as it is, because arrays have no schema."""
        return core_schema.is_instance_schema(cls)
