"""Holdout: one share of the rows is held out, the rest is trained on."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from pydantic import Field

from kit.kinds import Splitter
from kit.plugins.splitter._iterative import dealt, units
from kit.plugins.splitter._sklearn import check_groups, check_rows, fold_numbers, random_state

if TYPE_CHECKING:
    import numpy as np

    from kit.table import Table


class Holdout(Splitter):
    """One fold: a share of the rows is held out, whole groups where the competition declares groups.

    The rows are dealt into k-folds, of which as many are held out as make the share: 1 of 5 for 0.2. Where a row may
    have several labels, they are dealt into two parts by iterative stratification, as in multilabel_stratified_kfold.

    Source: sklearn.model_selection's KFold, StratifiedKFold, GroupKFold and StratifiedGroupKFold; Sechidis et al. 2011.
    """

    label_kinds = ("numbers", "multi_hot")

    share: float = Field(0.2, ge=0.05, le=0.95, description="part of the rows that is held out")
    stratified: bool = Field(True, description="keep the classes' shares")

    def split(self, table: Table, rng: np.random.Generator) -> np.ndarray:
        import numpy as np
        from sklearn import model_selection

        part = Fraction(self.share).limit_denominator(20)
        name = f"{'Stratified' * self.stratified}{'Group' * (table.groups is not None)}KFold"
        check_rows(table, part.denominator, self.stratified)
        if table.groups is not None:
            check_groups(table, part.denominator)
        if self.stratified and table.is_multi_label:
            counts, sizes, unit = units(table)
            place = dealt(counts, sizes, np.array([self.share, 1 - self.share]), rng)
            return np.where(place == 0, np.int64(0), np.int64(-1))[unit][:, None]
        splitter = getattr(model_selection, name)(
            part.denominator, shuffle=True, random_state=random_state(rng)
        )
        return np.where(fold_numbers(splitter, table) < part.numerator, np.int64(0), np.int64(-1))
