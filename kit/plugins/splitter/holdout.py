"""Holdout: holds out one share of the rows, and trains on the rest."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from pydantic import Field

from kit.kinds import Splitter
from kit.plugins.splitter._assignment import assign_by_class, assign_to_folds
from kit.plugins.splitter._iterative import assign_iteratively as dealt_by_labels
from kit.plugins.splitter._iterative import clusters
from kit.plugins.splitter._sklearn import check_groups, check_rows, fold_numbers, random_state

if TYPE_CHECKING:
    import numpy as np

    from kit.core.arrays import FoldNumbers
    from kit.data.table import Table


class Holdout(Splitter):
    """One fold: holds out a share of the rows, in whole groups if `data.group` is set.

    The rows are split into k folds, and the number of folds that makes the share is held out: 1 of 5 for 0.2.
    If a row may have several labels, they are split into two parts by iterative stratification, as in
    multilabel_stratified_kfold.

    Source: sklearn.model_selection's KFold, StratifiedKFold, GroupKFold and StratifiedGroupKFold; Sechidis et al. 2011.
    """

    label_kinds = ("class_index", "multi_hot", "numbers", "soft", "several")

    holdout_fraction: float = Field(
        0.2, ge=0.05, le=0.95, description="fraction of the rows that is held out"
    )
    stratified: bool = Field(True, description="keep the class proportions")

    def split(self, table: Table, rng: np.random.Generator) -> FoldNumbers:
        import numpy as np

        part = Fraction(self.holdout_fraction).limit_denominator(20)
        check_rows(table, part.denominator, self.stratified, by_share=True)
        if table.groups is not None:
            check_groups(table, part.denominator, by_share=True)
        if self.stratified and table.is_multi_label:
            counts, sizes, unit = clusters(table, part.denominator)
            fold_of_unit = dealt_by_labels(
                counts, sizes, np.array([self.holdout_fraction, 1 - self.holdout_fraction]), rng
            )
            numbers: np.ndarray = np.where(fold_of_unit == 0, np.int64(0), np.int64(-1))[unit][:, None]
            return numbers
        numbers = self._numbers(table, part.denominator, random_state(rng))
        return np.where(numbers < part.numerator, np.int64(0), np.int64(-1))

    def _numbers(self, table: Table, folds: int, seed: int) -> np.ndarray:
        """Returns the k-fold number of each row, (rows, 1)."""

        if table.groups is not None:
            from sklearn import model_selection

            name = "StratifiedGroupKFold" if self.stratified else "GroupKFold"
            splitter = getattr(model_selection, name)(folds, shuffle=True, random_state=seed)
            return fold_numbers(splitter, table, table.strata(folds) if self.stratified else None)
        return (
            assign_by_class(table.strata(folds), folds, seed)
            if self.stratified
            else assign_to_folds(len(table), folds, seed)
        )
