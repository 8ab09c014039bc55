"""Stratified k-fold: every fold has every class in the same share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from kit.kinds import Splitter
from kit.plugins.splitter._sklearn import check_rows, fold_numbers, random_state

if TYPE_CHECKING:
    import numpy as np

    from kit.table import Table


class StratifiedKfold(Splitter):
    """Each row is held out once; every fold has the classes in the shares that all rows have.

    Source: sklearn.model_selection.StratifiedKFold.
    """

    folds: int = Field(5, ge=2, description="how many parts the rows are split into")

    def split(self, table: Table, rng: np.random.Generator) -> np.ndarray:
        from sklearn.model_selection import StratifiedKFold

        check_rows(table, self.folds)
        return fold_numbers(StratifiedKFold(self.folds, shuffle=True, random_state=random_state(rng)), table)
