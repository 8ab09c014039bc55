"""Photos: the images of a few rows from the cache; an unreadable one is not an error here."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kit.config.workspace import Workspace
from kit.core.progress import Work
from kit.errors import KitWarning
from kit.experiment.loading import geometry
from kit.images.cache import fill_cache
from kit.images.channels import to_rgb


def photos(workspace: Workspace, paths: Sequence[Path]) -> Work[list[np.ndarray | None]]:
    """Returns the images at these paths, uint8 (height, width, 3), None for unreadable ones."""
    if not paths:
        return []
    wanted = geometry(workspace.experiment)
    with warnings.catch_warnings():  # warnings about an image were given when it was trained on
        warnings.simplefilter("ignore", KitWarning)
        filled = yield from fill_cache(
            workspace.cache, paths, wanted, workspace.competition.data, root=workspace.root
        )
    cache = filled.cache
    return [to_rgb(cache[row]) if cache.places[row][0] >= 0 else None for row in range(len(paths))]
