"""Bags in a network: how vectors of a bag's images become one, and a network on cached vectors."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from kit.kinds import Instances


class PooledInstances(nn.Module):
    """Vectors (N, T, features) and a mask (N, T) to vectors (N, any): a layer for each instance, then a pooling."""

    def __init__(self, recipe: Instances, features: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        if recipe.width is not None:
            layers += [nn.Linear(features, recipe.width), nn.ReLU()]
        self.layer = nn.Sequential(*layers, nn.Dropout(recipe.dropout))
        self.pool = recipe.build(recipe.width or features)

    def forward(self, vectors: Tensor, known: Tensor) -> Tensor:
        return cast(Tensor, self.pool(self.layer(vectors), known))

    @torch.no_grad()
    def count_features(self, features: int) -> int:
        """Returns the length of a pooled vector, by trying one."""
        was_training = self.training
        width = self.eval()(torch.zeros(1, 1, features), torch.ones(1, 1, dtype=torch.bool)).shape[1]
        self.train(was_training)
        return int(width)


def find_images(bags: Tensor) -> Tensor:
    """Returns which of (N, T, channels, H, W) are images of a bag, bool (N, T): all except black ones at its end.

    A bag has at least one image.
    """
    seen = bags.flatten(2).ne(0).any(dim=2)
    known = seen.flip(1).cumsum(dim=1).flip(1) > 0
    known[:, 0] = True
    return known


class InstanceNetwork(nn.Module):
    """Vectors (N, instances, features) to outputs (N, K). A vector of zeros is not an instance.

    Without `instances` a row has one vector. `columns` joins it with side values (N, W), if there are any.
    """

    mean: Tensor
    scale: Tensor

    def __init__(
        self,
        head: nn.Module,
        mean: np.ndarray,
        deviation: np.ndarray,
        instances: nn.Module | None = None,
        columns: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.register_buffer("mean", torch.as_tensor(mean, dtype=torch.float32))
        self.register_buffer("scale", torch.as_tensor(1 / deviation, dtype=torch.float32))
        self.instances, self.columns, self.head = instances, columns, head

    def forward(self, bags: Tensor, side: Tensor | None = None) -> Tensor:
        known = bags.ne(0).any(dim=2)
        vectors = ((bags - self.mean) * self.scale).masked_fill(~known[:, :, None], 0.0)
        pooled = vectors[:, 0] if self.instances is None else self.instances(vectors, known)
        if self.columns is not None:
            pooled = self.columns(pooled, side)
        return cast(Tensor, self.head(pooled))
