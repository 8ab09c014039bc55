"""Automatic groups: finds near-duplicates or photos of one scene, and writes them into a file for data.group."""

from __future__ import annotations

from kit.config.workspace import Workspace
from kit.core.progress import Work
from kit.data.folds import connected_components, merge_groups
from kit.data.groups import AUTO_GROUP_FILES, group_names
from kit.data.table import train_table
from kit.errors import ConfigError
from kit.experiment.loading import geometry, load_rows, open_source
from kit.images.near_duplicates import compute_thumbnails, find_near_duplicates, write_groups
from kit.images.scenes import group_scenes
from kit.kinds.label_kinds import MEANING


def write_auto_groups(workspace: Workspace) -> Work[None]:
    """Writes groups.csv (near-duplicates) or scenes.csv (those, and photos of one scene) if data.group requests it.

    A file with exactly the table's present rows is not changed, so that a run resumes with its groups, and
    people may edit it. Raises ConfigError C17 for scenes of rows with several labels.
    """
    data = workspace.competition.data
    if data.group is None or data.group not in AUTO_GROUP_FILES:
        return
    file = workspace.root / AUTO_GROUP_FILES[data.group]
    plain = data.model_copy(update={"group": None})
    table = train_table(workspace.root, plain).sort_by_id()
    if data.group in table.frame.columns or group_names(file).keys() == set(table.ids.tolist()):
        return
    loaded = yield from load_rows(workspace, table, "train", geometry(workspace.experiment))
    thumbnails = yield from compute_thumbnails(loaded.cache)
    groups = connected_components(len(table), find_near_duplicates(thumbnails).tolist())
    if data.group == "scene":
        if not table.has_one_class:
            raise ConfigError(
                f"data.group=scene compares photos of one class, but rows have {MEANING[table.label_kind]}",
                code="C17",
            )
        scenes = yield from group_scenes(
            table.paths, table.targets(), thumbnails.pictures, open_source(workspace)
        )
        groups = merge_groups(groups, scenes)
    write_groups(file, table.ids.tolist(), groups)
