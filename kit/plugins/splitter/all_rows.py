"""All rows: no row is held out, and one model trains on all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from kit.kinds import Splitter

if TYPE_CHECKING:
    import numpy as np

    from kit.core.arrays import FoldNumbers
    from kit.data.table import Table


class AllRows(Splitter):
    """Trains one model on every row, as `kit final` does.

    Such a run has no score, because no row is left for it.

    Source: Hastie, Tibshirani and Friedman 2009, "The Elements of Statistical Learning", section 7.10: the model that
    cross-validation chose is fitted to all the data.
    """

    label_kinds = ("class_index", "multi_hot", "numbers", "soft", "several")
    holds_out: ClassVar[bool] = False

    def split(self, table: Table, rng: np.random.Generator) -> FoldNumbers:
        import numpy as np

        return np.full((len(table), 1), -1, np.int64)
