"""The angular margin behind ArcFace and its kin."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

EDGE = 1 - 1e-7  # acos and sqrt(1 - cos^2) have infinite gradients at 1, and rounding can give 1.0002


def angular(outputs: Tensor, labels: Tensor, margin: Tensor) -> Tensor:
    """Cosines (N, K) in float32 with the true class's cos t replaced by cos(t + m), m of shape (N, 1) or ().

    Where cos t <= cos(pi - m) it is cos t - m * sin(pi - m), which keeps it falling with t.
    """
    cosines = outputs.float().clamp(-EDGE, EDGE)
    true = cosines.gather(1, labels[:, None])
    moved = torch.cos(torch.acos(true) + margin)
    past = true <= torch.cos(math.pi - margin)
    moved = torch.where(past, true - margin * torch.sin(math.pi - margin), moved)
    return cosines.scatter(1, labels[:, None], moved)
