"""Out-of-fold rows: what all members predict of the training table, joined by id."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from kit.config.workspace import Workspace
from kit.data.folds import file_groups, merge_groups
from kit.data.table import Table, read_labelled_rows
from kit.errors import KitWarning
from kit.stages.blending.members import Member, align


@dataclass(frozen=True, eq=False)
class OutOfFold:
    """Members' probabilities (M, N, K) of the rows that all predict, with what is known of the rows (N,)."""

    names: tuple[str, ...]
    ids: np.ndarray
    members: np.ndarray
    folds: np.ndarray  # which fold held a row out
    table: Table  # the same rows

    @cached_property
    def truth(self) -> np.ndarray:
        """Class numbers (N,), or multi-hot (N, K)."""
        return np.asarray(self.table.labels)

    @property
    def groups(self) -> np.ndarray | None:
        return self.table.groups

    def row_clusters(self) -> np.ndarray | None:
        """What must stay together when rows are cut into parts."""
        return row_clusters(self.folds, self.table)


def row_clusters(folds: np.ndarray, table: Table) -> np.ndarray | None:
    """What must stay together when rows are cut into parts: groups, and images that are the same byte for byte.

    Several folds keep those together already, and reading all images takes long: then it is the groups alone.
    """
    if len(np.unique(folds)) > 1:
        return table.groups
    same = file_groups(table.paths)
    return same if table.groups is None else merge_groups(same, table.groups)


def labels(workspace: Workspace) -> Table:
    """The training table; a machine that blends need not have the images that it names."""
    return read_labelled_rows(workspace.root, workspace.competition.data)


def out_of_fold(members: Sequence[Member], table: Table, folder: Path) -> OutOfFold:
    """The rows that all members predict; large ones are mapped to a file in `folder`.

    Raises InvalidError (D41) for none, and for rows that the table lacks.
    """
    ids, shares = align(members, folder)
    folds = np.array([members[0].fold_by_id[name] for name in ids.tolist()])
    names = tuple(map(str, members))
    return OutOfFold(names, ids, shares, folds, table.take(table.index_of(ids)))


def warn_of_partial(members: Sequence[Member], shared: int) -> None:
    counts = {str(member): len(set(member.oof.ids.tolist())) for member in members}
    if max(counts.values()) > shared:
        covered = ", ".join(f"{name} {count}" for name, count in counts.items())
        text = f"W10 only the {shared} rows that all members predict are scored ({covered})"
        warnings.warn(KitWarning(text), stacklevel=3)
