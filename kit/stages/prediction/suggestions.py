"""Suggests views for a run: without mirroring, if its training images were not mirrored."""

from __future__ import annotations

from kit.kinds import Augmenter
from kit.runs.run import Run


def suggest_views(run: Run) -> str:
    """Returns `hflip` for a run whose augmenter mirrors images, otherwise `shift`."""
    workspace = run.folder.parent.parent
    return "hflip" if Augmenter.open(run.config["augmenter"], workspace, "augmenter").mirrors() else "shift"
