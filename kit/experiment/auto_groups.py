"""auto groups: where data.group is "auto" or "scene", groups that kit finds among training images, kept in a file."""

from __future__ import annotations

from kit.config.workspace import Workspace
from kit.core.progress import Work
from kit.data.duplicates import joined, linked
from kit.data.table import FOUND, group_names, train_table
from kit.errors import ConfigError
from kit.experiment.loading import geometry, loading
from kit.images.near_duplicates import looks, near_pairs, write_groups
from kit.images.scenes import grouping_scenes


def grouping(workspace: Workspace) -> Work[None]:
    """Writes groups.csv (near copies) or scenes.csv (those, and photos of one scene) where data.group asks for it.

    A file that names the rows that the table has now is kept as it is, so that a run resumes with its groups, and
    people may edit it. Raises ConfigError C17 for scenes of rows with several labels.
    """
    data = workspace.competition.data
    if data.group is None or data.group not in FOUND:
        return
    file = workspace.root / FOUND[data.group]
    plain = data.model_copy(update={"group": None})
    table = train_table(workspace.root, plain).sorted_by_id()
    if data.group in table.frame.columns or group_names(file).keys() == set(table.ids.tolist()):
        return
    loaded = yield from loading(workspace, table, "train", geometry(workspace.experiment))
    found = yield from looks(loaded.cache)
    groups = linked(len(table), near_pairs(found).tolist())
    if data.group == "scene":
        if table.is_multi_label:
            raise ConfigError(
                "data.group=scene compares photos of one class, and rows have several labels", code="C17"
            )
        scenes = yield from grouping_scenes(table.paths, table.true_labels(), found.pictures, data)
        groups = joined(groups, scenes)
    write_groups(file, table.ids.tolist(), groups)
