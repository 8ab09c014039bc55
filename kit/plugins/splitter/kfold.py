"""K-fold: assigns rows to folds at random."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from kit.kinds import Splitter
from kit.plugins.splitter._assignment import assign_to_folds
from kit.plugins.splitter._sklearn import check_rows, random_state

if TYPE_CHECKING:
    import numpy as np

    from kit.core.arrays import FoldNumbers
    from kit.data.table import Table


class Kfold(Splitter):
    """Holds each row out once, in equally large random folds.

    Source: sklearn.model_selection.KFold.
    """

    label_kinds = ("class_index", "multi_hot", "numbers", "soft", "several")

    folds: int = Field(5, ge=2, description="number of folds")

    def split(self, table: Table, rng: np.random.Generator) -> FoldNumbers:
        check_rows(table, self.folds, stratified=False)
        return assign_to_folds(len(table), self.folds, random_state(rng))
