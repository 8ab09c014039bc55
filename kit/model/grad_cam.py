"""Grad-CAM: which places of an image a network's output depends on.

Source: Selvaraju et al. 2017, "Grad-CAM: Visual Explanations from Deep Networks", equations 1 and 2.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from kit.kinds import Loss
from kit.model.network import Network


def compute_cams(
    network: Network,
    loss: Loss,
    images: Tensor,
    targets: Sequence[int] | None = None,
    side: Tensor | None = None,
) -> np.ndarray:
    """Maps (N, h, w) of 0 to 1: how much each place of images (N, 3, H, W) raises the output of a class.

    `targets` are the classes (N,), by default the most probable ones. `side` (N, W) are the values of the rows' side
    columns, if the network takes any.
    """
    with torch.no_grad():
        features = network.backbone(images.to(network.scale.dtype) * network.scale + network.shift)

    def predict(maps: Tensor) -> Tensor:
        vectors = network.pooling(maps)
        outputs: Tensor = network.head(vectors if network.columns is None else network.columns(vectors, side))
        return outputs

    if targets is None:
        with torch.no_grad():
            classes = loss.probabilities(predict(features)).argmax(dim=1)
    else:
        classes = torch.tensor(targets, device=images.device)

    def score(maps: Tensor) -> Tensor:
        outputs = predict(maps)
        by_class = outputs if loss.is_per_class() else loss.probabilities(outputs).clamp_min(1e-12).log()
        return by_class.gather(1, classes[:, None]).squeeze(1)

    return grad_cam(features, score).cpu().numpy()


def grad_cam(features: Tensor, score: Callable[[Tensor], Tensor]) -> Tensor:
    """Maps (N, h, w), each with a maximum of 1, of features (N, C, h, w) or tokens (N, T, C) and scores (N,).

    Of tokens the last ones are used, as many as make a square. The others have no place in the image.
    """
    features = features.detach().requires_grad_()
    with torch.enable_grad():
        (gradients,) = torch.autograd.grad(score(features).sum(), features)
    values, gradients = (_as_maps(each.detach()) for each in (features, gradients))
    maps = (gradients.mean(dim=(2, 3), keepdim=True) * values).sum(dim=1).relu()
    return maps / maps.amax(dim=(1, 2), keepdim=True).clamp_min(1e-12)


def _as_maps(features: Tensor) -> Tensor:
    if features.ndim == 4:
        return features
    side = math.isqrt(features.shape[1])
    return torch.unflatten(features[:, -side * side :].transpose(1, 2), 2, (side, side))
