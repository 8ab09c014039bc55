"""Stratified group k-fold: groups are held out whole, and a class has about the same share in every fold."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from kit.kinds import Splitter
from kit.plugins.splitter._sklearn import check_groups, check_rows, fold_numbers, random_state

if TYPE_CHECKING:
    import numpy as np

    from kit.core.arrays import FoldNumbers
    from kit.data.table import Table

PASSES = 10  # passes over the groups; after two or three no group moves any more


class StratifiedGroupKfold(Splitter):
    """Holds each group out whole. A class's share is about the same in every fold.

    Numbers are stratified by ranges with equally many rows, soft targets by the class with the largest share.

    scikit-learn's greedy split comes first. Then one group after another moves to the fold that lacks it
    most, as long as that balances the classes. Of several such tries the most balanced one is used.

    Source: sklearn.model_selection.StratifiedGroupKFold, then a descent on the mean over folds and classes of
    (rows / equal share - 1)^2.
    """

    label_kinds = ("class_index", "numbers", "soft", "several")
    needs_groups: ClassVar[bool] = True
    folds: int = Field(5, ge=2, description="number of folds")
    tries: int = Field(8, ge=1, le=1000, description="number of random orders of the groups to try")

    def split(self, table: Table, rng: np.random.Generator) -> FoldNumbers:
        import numpy as np
        from sklearn.model_selection import StratifiedGroupKFold

        check_groups(table, self.folds)
        check_rows(table, self.folds)
        _, first, group = np.unique(np.asarray(table.groups), return_index=True, return_inverse=True)
        strata = table.strata(self.folds)
        counts = np.zeros((len(first), strata.max() + 1))
        np.add.at(counts, (group, strata), 1)
        shares = counts[:, counts.any(axis=0)] * self.folds / counts.sum(axis=0)[counts.any(axis=0)]
        assignments = []
        for _ in range(self.tries):
            greedy = StratifiedGroupKFold(self.folds, shuffle=True, random_state=random_state(rng))
            assignments.append(
                even_out_groups(shares, fold_numbers(greedy, table, strata)[first, 0], self.folds, rng)
            )
        return min(assignments, key=lambda assignment: unevenness(shares, assignment, self.folds))[group][
            :, None
        ]


def unevenness(shares: np.ndarray, fold_of_group: np.ndarray, folds: int) -> float:
    """Returns the mean over folds and classes of (sum of the groups' shares - 1)^2; 0 if all folds are alike."""
    import numpy as np

    sums = np.stack([shares[fold_of_group == fold].sum(axis=0) for fold in range(folds)])
    return float(((sums - 1) ** 2).mean())


def even_out_groups(
    shares: np.ndarray, start: np.ndarray, folds: int, rng: np.random.Generator
) -> np.ndarray:
    """Returns folds of groups (groups,), moved from `start`.

    `shares` (groups, classes) sum to `folds` for each class.
    """
    import numpy as np

    fold_of_group = start.copy()
    sums = np.stack([shares[fold_of_group == fold].sum(axis=0) for fold in range(folds)])
    for _ in range(PASSES):
        moved = False
        for group in rng.permutation(len(shares)):
            here, share = fold_of_group[group], shares[group]
            # the gain of (sum - 1)^2 in the group's new fold, and the loss in its old one
            cost = (share * (2 * (sums - 1) + share)).sum(axis=1)
            cost[here] = (share * (2 * (sums[here] - 1) - share)).sum()
            there = int(np.argmin(cost))
            if there == here or cost[there] >= cost[here] - 1e-9 or (fold_of_group == here).sum() == 1:
                continue
            sums[here] -= share
            sums[there] += share
            fold_of_group[group], moved = there, True
        if not moved:
            break
    return fold_of_group
