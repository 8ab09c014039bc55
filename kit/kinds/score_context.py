"""ScoreContext: what is known of rows besides their labels, for metrics and ensemblers that ask for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from pydantic_core import core_schema

from kit.kinds.targets import ONE_CLASS, Target

if TYPE_CHECKING:
    import numpy as np

Wanted = Literal["classes", "superclasses", "ids", "groups", "weights"]


@dataclass(frozen=True, eq=False)
class ScoreContext:
    """Names of the classes, and of N rows the ids, groups, weights and columns, aligned by position with the truth.

    Only what the metric's `wants` or the ensembler's `row_columns` names is filled in.
    """

    classes: tuple[str, ...] = ()
    superclasses: tuple[str, ...] = ()  # of each class, from data.superclasses
    target: Target = ONE_CLASS  # what labels and predictions of a row are
    ids: np.ndarray | None = None  # (N,) of str
    groups: np.ndarray | None = None  # (N,) of str, from data.group
    weights: np.ndarray | None = None  # (N,) float64, from data.weight
    columns: Mapping[str, np.ndarray] = field(default_factory=dict)  # of a table, (N,) of str each

    @property
    def multi_label(self) -> bool:
        """Whether a row may have several labels."""
        return self.target.multi_label

    @property
    def has_rows(self) -> bool:
        """Whether anything is known of single rows."""
        return bool(self.columns) or any(
            values is not None for values in (self.ids, self.groups, self.weights)
        )

    def take(self, rows: np.ndarray) -> ScoreContext:
        """The context of the rows at these positions, or where a mask is true."""
        return replace(
            self,
            ids=None if self.ids is None else self.ids[rows],
            groups=None if self.groups is None else self.groups[rows],
            weights=None if self.weights is None else self.weights[rows],
            columns={name: values[rows] for name, values in self.columns.items()},
        )

    def of_classes(self, numbers: np.ndarray) -> ScoreContext:
        """The context of some of the classes, for a metric that scores these columns alone."""
        return replace(
            self,
            classes=tuple(self.classes[number] for number in numbers),
            superclasses=tuple(self.superclasses[number] for number in numbers) if self.superclasses else (),
        )

    def __eq__(self, other: object) -> bool:
        """Whether both know the same; plugins are compared field by field."""
        return isinstance(other, ScoreContext) and self._values() == other._values()

    def __hash__(self) -> int:
        return hash((self.classes, self.superclasses, self.target))

    def _values(self) -> tuple[Any, ...]:
        rows = (
            None if values is None else values.tolist() for values in (self.ids, self.groups, self.weights)
        )
        columns = {name: values.tolist() for name, values in self.columns.items()}
        return (self.classes, self.superclasses, self.target, columns, *rows)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> core_schema.CoreSchema:
        """A field of a plugin holds it as it is: arrays have no schema."""
        return core_schema.is_instance_schema(cls)
