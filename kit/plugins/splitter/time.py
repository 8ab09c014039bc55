"""Time: each fold trains on earlier rows than it holds out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from kit.errors import DataError
from kit.kinds import Splitter
from kit.plugins.splitter._columns import cells
from kit.plugins.splitter._timestamps import parse_times

if TYPE_CHECKING:
    import numpy as np

    from kit.core.arrays import FoldNumbers, RowMask
    from kit.data.table import Table


class Time(Splitter):
    """Cuts the rows by time into folds + 1 chunks. Each fold trains on all chunks before the one it holds out.

    The earliest chunk is never held out. Rows of one time stay together. A group has the time of its last
    row. If it crosses a border, it belongs whole to the later chunk, and its early rows are purged from the
    earlier training rows.

    Source: sklearn.model_selection.TimeSeriesSplit; purging after Lopez de Prado 2018, "Advances in Financial Machine
    Learning", section 7.4.1.
    """

    label_kinds = ("class_index", "multi_hot", "numbers", "soft", "several")

    column: str = Field(
        "time", min_length=1, description="column of the training table with numbers or ISO dates"
    )
    folds: int = Field(5, ge=1, description="number of folds, which each hold out one chunk")

    def split(self, table: Table, rng: np.random.Generator) -> FoldNumbers:
        import numpy as np

        when = parse_times(cells(table, self.column, "time"), table.ids.tolist(), self.column)
        if table.groups is not None:
            _, group = np.unique(table.groups, return_inverse=True)
            last = np.full(group.max() + 1, -np.inf)
            np.maximum.at(last, group, when)
            when = last[group]
        _, moment, counts = np.unique(when, return_inverse=True, return_counts=True)
        if len(counts) <= self.folds:
            what = "times" if table.groups is None else "times at which groups end"
            raise DataError(
                f"{len(counts)} {what} in column {self.column!r} cannot make {self.folds + 1} chunks",
                code="D35",
                hint=f"splitter.folds={len(counts) - 1}" if len(counts) > 1 else "another splitter.column",
            )
        chunk_of = np.searchsorted(borders(counts, self.folds), np.arange(len(counts)), side="right")
        return (chunk_of[moment] - 1).astype(np.int64)[:, None]

    def train_rows(self, folds: FoldNumbers, fold: int) -> RowMask:
        return folds[:, 0] < fold


def borders(counts: np.ndarray, folds: int) -> list[int]:
    """Returns the first time of each held-out chunk, given the rows of each time: chunks as equal as whole
    times allow.
    """
    import numpy as np

    before = np.r_[0, np.cumsum(counts)]
    borders_so_far: list[int] = []
    for border in range(1, folds + 1):
        first, end = (borders_so_far[-1] if borders_so_far else 0) + 1, len(counts) - (folds - border)
        ideal = before[-1] * border / (folds + 1)
        borders_so_far.append(first + int(np.abs(before[first:end] - ideal).argmin()))
    return borders_so_far
