"""Images of a report, darkened except where Grad-CAM finds the evidence.

It is the only part of a report that needs torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
import torch

from kit.config.workspace import Workspace
from kit.core.progress import Progress, Work
from kit.device.precision import choose_device
from kit.engine.batches import ImageDataset
from kit.errors import CheckpointError
from kit.experiment.loading import geometry, load_rows
from kit.experiment.prediction_file import experiment_of, restore
from kit.images.channels import to_rgb
from kit.images.reader import resize
from kit.model import checkpoints
from kit.model.grad_cam import compute_cams
from kit.model.network import Network
from kit.stages.reporting.member import EvaluatedMember

BATCH = 16
DARK = 0.25  # brightness that remains where nothing supports the class


def cams(workspace: Workspace, subject: EvaluatedMember, rows: Sequence[int]) -> Work[dict[int, np.ndarray]]:
    """Returns the images of rows as the network saw them (size, size, 3), dark except where they support the
    most probable class.

    Each row is evaluated by the model of the fold that held it out. Raises CheckpointError D51 if that is
    missing.
    """
    found: dict[int, np.ndarray] = {}
    device = choose_device("auto")
    for fold in sorted({int(subject.folds[row]) for row in rows}):
        checkpoint = checkpoints.load(_place(subject, fold))
        experiment = experiment_of(checkpoint.provenance)
        mine = [row for row in rows if subject.folds[row] == fold]
        loaded = yield from load_rows(workspace, subject.table.take(mine), "train", geometry(experiment))
        usable = [place for place in range(len(mine)) if not loaded.bad[place]]
        images = ImageDataset(loaded.cache, experiment.image_size, experiment.center_crop)
        made = restore(checkpoint, workspace.root, device)
        values = made.encode_columns(loaded.table, "train")
        network = cast(Network, made.network).float()
        for start in range(0, len(usable), BATCH):
            part = usable[start : start + BATCH]
            pixels = np.stack([images.image(0, place, 0) for place in part])
            targets = [int(subject.probabilities[mine[place]].argmax()) for place in part]
            shown = torch.from_numpy(pixels).permute(0, 3, 1, 2).to(device)
            side = None if values is None else torch.from_numpy(values.of(np.array(part))).to(device)
            maps = compute_cams(network, made.loss, shown, targets, side)
            found |= {
                mine[place]: heat_overlay(to_rgb(each[0]), each[1])
                for place, each in zip(part, zip(pixels, maps, strict=True), strict=True)
            }
            yield Progress("grad-cam", len(found), len(rows))
    return found


def _place(subject: EvaluatedMember, fold: int) -> Path:
    """Returns the checkpoint that the subject's fold was predicted with."""
    tag = subject.provenance.checkpoint(fold)
    place = subject.run.fold(fold) / tag.partition(":")[0]
    try:
        same = checkpoints.tag(place) == tag
    except (OSError, ValueError, KeyError):
        same = False
    if not same:
        raise CheckpointError(
            f"the checkpoint that predicted fold {fold} of {subject.name} does not exist",
            code="D51",
            hint="the report without --cam",
        )
    return place


def heat_overlay(image: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Returns the image (H, W, 3) with a brightness of `shares` (h, w), which works without colours."""
    light = resize(np.ascontiguousarray(shares, np.float32)[:, :, None], *image.shape[:2])
    lit: np.ndarray = np.rint(image * (DARK + (1 - DARK) * np.clip(light, 0, 1))).astype(np.uint8)
    return lit
