"""Stratified k-fold: a class has the same share in every fold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from kit.core.arrays import FoldNumbers
from kit.kinds import Splitter
from kit.plugins.splitter._assignment import assign_by_class
from kit.plugins.splitter._sklearn import check_rows, random_state

if TYPE_CHECKING:
    import numpy as np

    from kit.data.table import Table


class StratifiedKfold(Splitter):
    """Holds each row out once. A class's share is the same in every fold.

    Numbers are stratified by ranges with equally many rows, soft targets by the class with the largest share.

    Source: sklearn.model_selection.StratifiedKFold.
    """

    label_kinds = ("class_index", "numbers", "soft", "several")

    folds: int = Field(5, ge=2, description="number of folds")

    def split(self, table: Table, rng: np.random.Generator) -> FoldNumbers:
        check_rows(table, self.folds)
        return assign_by_class(table.strata(self.folds), self.folds, random_state(rng))
