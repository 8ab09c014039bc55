"""Grad-CAM of rows of a table, batch by batch, by the network of a checkpoint."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import numpy as np
import torch

from kit.config.models import Experiment
from kit.engine.batches import ImageDataset
from kit.experiment.loading import Loaded
from kit.model.grad_cam import compute_cams
from kit.model.network import Network
from kit.model.predict import Predictor

BATCH = 16


def cam_batches(
    predictor: Predictor,
    loaded: Loaded,
    experiment: Experiment,
    split: str,
    rows: np.ndarray,
    targets: np.ndarray | None = None,
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yields rows (N,), their images (N, size, size, channels) as the network sees them, and their maps (N, h, w).

    `targets` are the classes of `rows`, by default the most probable ones. All rows have an image.
    """
    images = ImageDataset(loaded.cache, experiment.image_size, experiment.center_crop)
    values = predictor.encode_columns(loaded.table, split)
    network = cast(Network, predictor.network).float()
    for start in range(0, len(rows), BATCH):
        part = rows[start : start + BATCH]
        pixels = np.stack([images.image(0, int(row), 0) for row in part])
        images_on_device = torch.from_numpy(pixels).permute(0, 3, 1, 2).to(predictor.device)
        side = None if values is None else torch.from_numpy(values.of(part)).to(predictor.device)
        classes = None if targets is None else targets[start : start + BATCH].tolist()
        yield part, pixels, compute_cams(network, predictor.loss, images_on_device, classes, side)
