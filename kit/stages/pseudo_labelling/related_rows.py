"""Related rows: test rows that are copies or near-duplicates of training rows, or share their group or answer."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from kit.data.folds import Folds, connected_components, merge_groups
from kit.data.groups import derive_columns
from kit.data.image_paths import columns_of, fill
from kit.data.table import Table

if TYPE_CHECKING:
    from kit.config.models import Data


def row_clusters(
    train: Table, test: Table, hashes: Sequence[str], pairs: np.ndarray, data: Data
) -> np.ndarray:
    """Returns a number for each training row and then each test row, equal for related rows, int64 (rows,).

    `hashes` are of the files' content, `pairs` of similar rows.
    """
    alone: list[Hashable] = list(range(len(train) + len(test)))  # numbers, which no name equals
    same = [name or row for name, row in zip(hashes, alone, strict=True)]
    own = [""] * len(train) if train.groups is None else train.groups.tolist()
    groups = [name or row for name, row in zip([*own, *_groups(test, data)], alone, strict=True)]
    answer_names = [
        name for table in (train, test) if table.answers is not None for name in table.answers.tolist()
    ]
    return merge_groups(same, groups, answer_names or alone, connected_components(len(alone), pairs.tolist()))


def _groups(test: Table, data: Data) -> list[str]:
    """Returns the test rows' groups, as their table names them; blank if it has no such column."""
    ids = test.ids.tolist()
    known = {"id": ids, **derive_columns(ids, test.paths)}
    known |= {str(name): test.frame[name].tolist() for name in test.frame.columns}
    wanted = set() if data.group is None else set(columns_of(data.group)) or {data.group}
    if data.group is None or not wanted <= set(known):
        return [""] * len(test)
    return [name.strip() for name in fill(data.group, known, "data.group")]


def is_related_to_held_out(clusters: np.ndarray, folds: Folds, fold: int) -> np.ndarray:
    """Returns which test rows are related to a row that a fold holds out, bool (test rows,); `clusters` comes
    from `row_clusters`.
    """
    count = len(folds.ids)
    return np.isin(clusters[count:], clusters[:count][folds.oof_mask(fold)])
