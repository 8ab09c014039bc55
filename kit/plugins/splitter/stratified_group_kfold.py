"""Stratified group k-fold: groups are held out whole, and every fold has about every class in the same share."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from kit.kinds import Splitter
from kit.plugins.splitter._sklearn import check_groups, check_rows, fold_numbers, random_state

if TYPE_CHECKING:
    import numpy as np

    from kit.table import Table


class StratifiedGroupKfold(Splitter):
    """Each group is held out whole, in folds with the classes in about the shares that all rows have.

    Of several random orders of the groups, the one whose folds are closest to those shares is taken.

    Source: sklearn.model_selection.StratifiedGroupKFold, the best of `tries`.
    """

    needs_groups: ClassVar[bool] = True
    folds: int = Field(5, ge=2, description="how many parts the groups are split into")
    tries: int = Field(8, ge=1, le=1000, description="random orders of the groups that are compared")

    def split(self, table: Table, rng: np.random.Generator) -> np.ndarray:
        from sklearn.model_selection import StratifiedGroupKFold

        check_groups(table, self.folds)
        check_rows(table, self.folds)
        made = [
            fold_numbers(
                StratifiedGroupKFold(self.folds, shuffle=True, random_state=random_state(rng)), table
            )
            for _ in range(self.tries)
        ]
        return min(made, key=lambda numbers: imbalance(table, numbers[:, 0], self.folds))


def imbalance(table: Table, numbers: np.ndarray, folds: int) -> float:
    """Mean over folds and classes of how far a class's rows are from an equal share, in parts of that share."""
    import numpy as np

    counts = table.counts()
    made = np.zeros((folds, len(counts)))
    np.add.at(made, (numbers, np.asarray(table.labels)), 1)
    there = counts > 0
    return float(np.abs(made[:, there] * folds / counts[there] - 1).mean())
