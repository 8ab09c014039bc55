"""InstanceNetwork: vectors of bags, standardised and pooled, to outputs by a head."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from torch import Tensor, nn


class InstanceNetwork(nn.Module):
    """Vectors (N, instances, features) to outputs (N, K). A vector of zeros is no instance.

    Without `instances` a row has one vector, and the head gets it.
    """

    mean: Tensor
    scale: Tensor

    def __init__(
        self, head: nn.Module, mean: np.ndarray, deviation: np.ndarray, instances: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.register_buffer("mean", torch.as_tensor(mean, dtype=torch.float32))
        self.register_buffer("scale", torch.as_tensor(1 / deviation, dtype=torch.float32))
        self.instances, self.head = instances, head

    def forward(self, bags: Tensor) -> Tensor:
        known = bags.ne(0).any(dim=2)
        vectors = ((bags - self.mean) * self.scale).masked_fill(~known[:, :, None], 0.0)
        pooled = vectors[:, 0] if self.instances is None else self.instances(vectors, known)
        return cast(Tensor, self.head(pooled))
