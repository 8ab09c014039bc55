"""Folds that keep rows with the same id prefix together, such as the camera in `cam3_0012`.

kit train splitter=by_prefix splitter.separator=_

Source: the greedy balancing of scikit-learn's GroupKFold, over the part of the id before the separator.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from kit.kinds import Splitter

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kit import Table


class ByPrefix(Splitter):
    """Assigns folds by the part of each id before a separator: one camera, one person, one shop stays whole."""

    label_kinds = ("class_index", "multi_hot", "numbers", "soft")

    separator: str = Field(
        "_", min_length=1, description="what ends the prefix; an id without it is its own group"
    )
    folds: int = Field(5, ge=2, description="how many folds, no more than there are prefixes")

    def split(self, table: Table, rng: np.random.Generator) -> NDArray[np.int64]:
        prefixes = [name.split(self.separator)[0] for name in table.ids.tolist()]
        names, group = np.unique(prefixes, return_inverse=True)
        sizes = np.bincount(group) + rng.random(len(names))  # equal sizes have a drawn order
        load, fold_of = np.zeros(self.folds), np.zeros(len(names), dtype=np.int64)
        for each in np.argsort(-sizes):
            fold_of[each] = load.argmin()
            load[fold_of[each]] += sizes[each]
        return fold_of[group][:, None]
