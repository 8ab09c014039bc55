"""Classes: information about a competition's classes that plugins may use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kit.kinds.targets import ONE_CLASS, LabelKind, Target

if TYPE_CHECKING:
    from kit.kinds.levels import Level


@dataclass(frozen=True)
class Classes:
    """Information about a competition's classes, in class order."""

    names: tuple[str, ...]
    counts: tuple[int, ...] = ()  # training rows of each class
    groups: tuple[str, ...] = ()  # the superclass of each class
    factors: tuple[tuple[str, ...], ...] = ()  # the values that make up each class
    total: int = 0  # number of training rows
    target: Target = ONE_CLASS  # the meaning of a row's labels and predictions
    means: tuple[float, ...] = ()  # for numbers: the mean of each column over the fold's training rows
    scales: tuple[float, ...] = ()  # and its standard deviation; 1 if the column is constant
    target_range: tuple[float, float] | None = None  # data.target_range
    levels: tuple[Level, ...] = ()  # the parents of the classes, the nearest first

    @property
    def label_kind(self) -> LabelKind:
        """The kind of labels."""
        return self.target.kind

    @property
    def multi_label(self) -> bool:
        """Whether a row may have several labels, or none."""
        return self.target.multi_label
