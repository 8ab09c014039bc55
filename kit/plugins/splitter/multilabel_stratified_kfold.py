"""Multi-label stratified k-fold: a label has about the same share in every fold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from kit.kinds import Splitter
from kit.plugins.splitter._sklearn import check_groups, check_rows

if TYPE_CHECKING:
    import numpy as np

    from kit.core.arrays import FoldNumbers
    from kit.data.table import Table


class MultilabelStratifiedKfold(Splitter):
    """Holds each row out once. A label's share is about the same in every fold.

    Each column of numbers is stratified by ranges with equally many rows.

    Rows of the rarest label are assigned first, each to the fold that lacks that label most. If the
    competition has groups, whole groups are assigned, then moved as long as that balances the labels.

    Source: Sechidis, Tsoumakas and Vlahavas 2011, "On the Stratification of Multi-label Data", algorithm 1; groups
    as in stratified_group_kfold.
    """

    label_kinds = ("class_index", "multi_hot", "numbers", "soft", "several")

    folds: int = Field(5, ge=2, description="number of folds")

    def split(self, table: Table, rng: np.random.Generator) -> FoldNumbers:
        import numpy as np

        from kit.plugins.splitter._iterative import assign_iteratively, clusters
        from kit.plugins.splitter.stratified_group_kfold import even_out_groups

        check_rows(table, self.folds)
        if table.groups is not None:
            check_groups(table, self.folds)
        counts, sizes, unit = clusters(table, self.folds)
        fold_of_unit = assign_iteratively(counts, sizes, np.full(self.folds, 1 / self.folds), rng)
        if table.groups is not None:
            some = counts[:, counts.any(axis=0)]
            fold_of_unit = even_out_groups(
                some * self.folds / some.sum(axis=0), fold_of_unit, self.folds, rng
            )
        numbers: np.ndarray = fold_of_unit[unit].astype(np.int64)[:, None]
        return numbers
