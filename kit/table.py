"""Table: the rows of a competition, joined by id: where each row's image is, its label, its group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd


@dataclass(frozen=True, eq=False)
class Table:
    """Rows of one split; the arrays are aligned by position with `ids`, which are unique.

    `labels` are class numbers (rows,), absent for test rows; `groups` name what must share a fold (a person,
    an object), absent where the competition declares none; `frame` holds the file's own columns as text.
    """

    ids: np.ndarray  # (rows,) of str
    paths: tuple[Path, ...]
    classes: tuple[str, ...] = ()
    labels: np.ndarray | None = None  # (rows,) int64
    groups: np.ndarray | None = None  # (rows,) of str
    frame: pd.DataFrame = field(default_factory=pd.DataFrame)

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: Sequence[int] | np.ndarray) -> Table:
        """The rows at these positions (or where a mask is true), in that order."""
        index = np.arange(len(self))[np.asarray(rows)]
        return replace(
            self,
            ids=self.ids[index],
            paths=tuple(self.paths[i] for i in index),
            labels=None if self.labels is None else self.labels[index],
            groups=None if self.groups is None else self.groups[index],
            frame=self.frame.iloc[index].reset_index(drop=True) if len(self.frame.columns) else self.frame,
        )

    def sorted_by_id(self) -> Table:
        """The same rows in the order of their ids as text."""
        return self.take(np.argsort(self.ids, kind="stable"))

    def counts(self) -> np.ndarray:
        """Rows of each class, (classes,)."""
        if self.labels is None:
            raise ValueError("test rows have no labels to count")
        return np.bincount(self.labels, minlength=len(self.classes))
