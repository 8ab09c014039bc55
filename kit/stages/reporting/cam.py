"""Images of a report, darkened except where Grad-CAM finds the evidence.

It is the only part of a report that needs torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kit.config.workspace import Workspace
from kit.core.progress import Progress, Work
from kit.device.precision import choose_device
from kit.errors import CheckpointError
from kit.experiment.cams import cam_batches
from kit.experiment.loading import geometry, load_rows
from kit.experiment.prediction_file import experiment_of, restore
from kit.images.channels import to_rgb
from kit.images.reader import resize
from kit.model import checkpoints
from kit.stages.reporting.member import EvaluatedMember

DARK = 0.25  # brightness that remains where nothing supports the class


def cams(workspace: Workspace, subject: EvaluatedMember, rows: Sequence[int]) -> Work[dict[int, np.ndarray]]:
    """Returns the images of rows as the network saw them (size, size, 3), dark except where they support the
    most probable class.

    Each row is evaluated by the model of the fold that held it out. Raises CheckpointError D51 if that is
    missing.
    """
    maps_by_row: dict[int, np.ndarray] = {}
    device = choose_device("auto")
    for fold in sorted({int(subject.folds[row]) for row in rows}):
        checkpoint = checkpoints.load(_place(subject, fold))
        experiment = experiment_of(checkpoint.provenance)
        mine = [row for row in rows if subject.folds[row] == fold]
        loaded = yield from load_rows(workspace, subject.table.take(mine), "train", geometry(experiment))
        usable = np.flatnonzero(~loaded.bad)
        predictor = restore(checkpoint, workspace.root, device)
        targets = subject.probabilities[mine][usable].argmax(axis=1)
        for part, pixels, maps in cam_batches(predictor, loaded, experiment, "train", usable, targets):
            maps_by_row |= {
                mine[row_of_table]: heat_overlay(to_rgb(image), shares)
                for row_of_table, image, shares in zip(part.tolist(), pixels, maps, strict=True)
            }
            yield Progress("grad-cam", len(maps_by_row), len(rows))
    return maps_by_row


def _place(subject: EvaluatedMember, fold: int) -> Path:
    """Returns the checkpoint that the subject's fold was predicted with."""
    tag = subject.provenance.checkpoint(fold)
    checkpoint = subject.run.fold(fold) / tag.partition(":")[0]
    try:
        same = checkpoints.tag(checkpoint) == tag
    except (OSError, ValueError, KeyError):
        same = False
    if not same:
        raise CheckpointError(
            f"the checkpoint that predicted fold {fold} of {subject.name} does not exist",
            code="D51",
            hint="the report without --cam",
        )
    return checkpoint


def heat_overlay(image: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Returns the image (H, W, 3) with a brightness of `shares` (h, w), which works without colours."""
    light = resize(np.ascontiguousarray(shares, np.float32)[:, :, None], *image.shape[:2])
    overlay: np.ndarray = np.rint(image * (DARK + (1 - DARK) * np.clip(light, 0, 1))).astype(np.uint8)
    return overlay
