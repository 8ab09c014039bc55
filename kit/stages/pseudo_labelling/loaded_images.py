"""LoadedImages: training and test images as the teachers saw them, and their clusters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kit.config.parsing import read_stored_experiment
from kit.config.workspace import Workspace
from kit.core.progress import Work
from kit.data.table import Table
from kit.errors import DataError
from kit.experiment.loading import Loaded, geometry, load_rows
from kit.images.cache import Geometry
from kit.images.near_duplicates import Thumbnails, compute_thumbnails, find_near_duplicates
from kit.kinds.advice import predict_command
from kit.runs.run import Run
from kit.stages.blending.members import Member
from kit.stages.pseudo_labelling.related_rows import row_clusters


@dataclass(frozen=True, eq=False)
class LoadedImages:
    """The rows of both splits with their images, and a number for each row that is equal within a cluster of
    related rows.
    """

    train: Loaded
    test: Loaded
    units: np.ndarray  # (training rows, then test rows,) int64


def load_images(
    workspace: Workspace, members: Sequence[Member], train: Table, test: Table
) -> Work[LoadedImages]:
    """Loads the images into the cache as the teachers saw them, and compares them.

    Raises DataError D65 for test images that are not those that a teacher predicted.
    """
    first, *others = dict.fromkeys(_geometry(workspace, member) for member in members)
    test_images = yield from load_rows(workspace, test, "test", first)
    seen = {first: test_images.fingerprint()}
    for other in others:
        seen[other] = (yield from load_rows(workspace, test, "test", other)).fingerprint()
    for member in members:
        predicted = member.test.provenance.images
        if predicted and predicted != seen[_geometry(workspace, member)]:
            raise DataError(
                f"{member} predicted other test images than those of the table",
                code="D65",
                hint=f"{predict_command(member.run, member.views, workspace.root, member.test.provenance)} predicts "
                "them again",
            )
    known = yield from load_rows(workspace, train, "train", first)
    own, foreign = (
        (yield from compute_thumbnails(known.cache)),
        (yield from compute_thumbnails(test_images.cache)),
    )
    pairs = find_near_duplicates(
        Thumbnails(
            *(
                np.concatenate([getattr(own, name), getattr(foreign, name)])
                for name in ("hashes", "pictures", "bad")
            )
        )
    )
    hashes = [*known.cache.hashes, *test_images.cache.hashes]
    return LoadedImages(
        known, test_images, row_clusters(train, test, hashes, pairs, workspace.competition.data)
    )


def _geometry(workspace: Workspace, member: Member) -> Geometry:
    """Returns how images enter the cache for a member's run; for imported predictions as the workspace's config says.

    Raises CheckpointError D51, D53 for an unreadable config.
    """
    run = Run(workspace.runs / member.run)
    if run.made_by:
        return geometry(workspace.experiment)
    return geometry(read_stored_experiment(run.config, f"runs/{member.run}"))
