"""Group k-fold: the rows of a group are held out together."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from kit.kinds import Splitter
from kit.plugins.splitter._sklearn import check_groups, fold_numbers, random_state

if TYPE_CHECKING:
    import numpy as np

    from kit.core.arrays import FoldNumbers
    from kit.data.table import Table


class GroupKfold(Splitter):
    """Holds each group out whole, in folds with about equally many groups. It ignores the classes.

    Source: sklearn.model_selection.GroupKFold with shuffle.
    """

    label_kinds = ("class_index", "multi_hot", "numbers", "soft", "several")
    needs_groups: ClassVar[bool] = True
    folds: int = Field(5, ge=2, description="number of folds")

    def split(self, table: Table, rng: np.random.Generator) -> FoldNumbers:
        from sklearn.model_selection import GroupKFold

        check_groups(table, self.folds)
        return fold_numbers(GroupKFold(self.folds, shuffle=True, random_state=random_state(rng)), table)
