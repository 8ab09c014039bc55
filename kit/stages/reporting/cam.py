"""Grad-CAM: where in an image a network saw what speaks for a class; the one part of a report that needs torch.

Source: Selvaraju et al. 2017, "Grad-CAM: Visual Explanations from Deep Networks", equations 1 and 2.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor

from kit.config.workspace import Workspace
from kit.core.progress import Progress, Work
from kit.device.precision import choose_device
from kit.engine.batches import ImageDataset
from kit.errors import CheckpointError
from kit.experiment.loading import geometry, load_rows
from kit.experiment.prediction_file import experiment_of, restore
from kit.images.channels import to_rgb
from kit.images.reader import resize
from kit.kinds import Loss
from kit.model import checkpoints
from kit.model.network import Network
from kit.stages.reporting.member import EvaluatedMember

BATCH = 16
DARK = 0.25  # of its light stays where nothing speaks for the class


def cams(workspace: Workspace, subject: EvaluatedMember, rows: Sequence[int]) -> Work[dict[int, np.ndarray]]:
    """The images of rows as the network saw them (size, size, 3), dark but for what spoke for their likeliest class.

    Each row is shown to the model of the fold that held it out. Raises CheckpointError D51 where that is gone.
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
    """The checkpoint that the subject's fold was predicted with."""
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


def compute_cams(
    network: Network, loss: Loss, images: Tensor, targets: Sequence[int], side: Tensor | None = None
) -> np.ndarray:
    """Maps (N, h, w) of 0 to 1: how much each place of the last features of images (N, 3, H, W) spoke for a class.

    `side` (N, W) are the values of the rows' side columns, if the network takes any.
    """
    with torch.no_grad():
        features = network.backbone(images.to(network.scale.dtype) * network.scale + network.shift)
    classes = torch.tensor(targets, device=images.device)

    def score(maps: Tensor) -> Tensor:
        vectors = network.pooling(maps)
        outputs = network.head(vectors if network.columns is None else network.columns(vectors, side))
        by_class = outputs if loss.is_per_class() else loss.probabilities(outputs).clamp_min(1e-12).log()
        return by_class.gather(1, classes[:, None]).squeeze(1)

    return grad_cam(features, score).cpu().numpy()


def grad_cam(features: Tensor, score: Callable[[Tensor], Tensor]) -> Tensor:
    """Maps (N, h, w), the largest of each 1, of features (N, C, h, w) or tokens (N, T, C) and a score a row (N,).

    Of tokens the last that make a square count; those before them stand for no place.
    """
    features = features.detach().requires_grad_()
    with torch.enable_grad():
        (slopes,) = torch.autograd.grad(score(features).sum(), features)
    values, slopes = (_spread_out(one.detach()) for one in (features, slopes))
    maps = (slopes.mean(dim=(2, 3), keepdim=True) * values).sum(dim=1).relu()
    return maps / maps.amax(dim=(1, 2), keepdim=True).clamp_min(1e-12)


def _spread_out(features: Tensor) -> Tensor:
    if features.ndim == 4:
        return features
    side = math.isqrt(features.shape[1])
    return torch.unflatten(features[:, -side * side :].transpose(1, 2), 2, (side, side))


def heat_overlay(image: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """The image (H, W, 3), as bright as `shares` (h, w) say, which says it without colours."""
    light = resize(np.ascontiguousarray(shares, np.float32)[:, :, None], *image.shape[:2])
    lit: np.ndarray = np.rint(image * (DARK + (1 - DARK) * np.clip(light, 0, 1))).astype(np.uint8)
    return lit
