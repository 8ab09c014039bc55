"""auto groups: where data.group is "auto", near copies among the training images are groups, kept in groups.csv."""

from __future__ import annotations

from kit.duplicates import linked
from kit.near import looks, near_pairs, write_groups
from kit.progress import Work
from kit.runs.loading import geometry, loading
from kit.table import AUTO, GROUPS, group_names, train_table
from kit.workspace import Workspace


def grouping(workspace: Workspace) -> Work[None]:
    """Writes groups.csv where data.group is "auto" and it does not name the rows that the table has now.

    A file that names them is kept as it is, so that a run resumes with its groups, and people may edit it.
    """
    data = workspace.competition.data
    if data.group != AUTO:
        return
    plain = data.model_copy(update={"group": None})
    table = train_table(workspace.root, plain).sorted_by_id()
    if group_names(workspace.root).keys() == set(table.ids.tolist()):
        return
    loaded = yield from loading(workspace, table, "train", geometry(workspace.experiment))
    found = yield from looks(loaded.cache)
    groups = linked(len(table), near_pairs(found).tolist())
    write_groups(workspace.root / GROUPS, table.ids.tolist(), groups)
