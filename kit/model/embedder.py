"""Embedder: a network that returns an image's embedding instead of its class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from kit.device.precision import Precision
from kit.model.network import Network
from kit.model.predict import Merge, View


@dataclass(frozen=True)
class Embedder:
    """A network on its device, whose pooled features are merged over views on the unit sphere."""

    network: Network
    precision: Precision

    @property
    def device(self) -> torch.device:
        """The device of the network."""
        return next(self.network.parameters()).device

    def vectors(self, images: Tensor) -> Tensor:
        """Returns unit vectors (N, features) float32 of a batch of uint8 images (N, channels, H, W) on the
        network's device.
        """
        with self.precision.autocast_prediction(self.device):
            pooled = self.network.embed(images)
        with torch.inference_mode():
            return normalize(pooled.float(), dim=1)

    def predict_views(
        self, images: Tensor, views: Sequence[View], merge: Merge, side: Tensor | None = None
    ) -> Tensor:
        """Returns the direction (N, features) of the mean of the views' unit vectors; `merge` and `side` are ignored.

        Source: Mardia and Jupp 2000, "Directional Statistics", section 9.2.1, the mean direction.
        """
        total: Any = 0
        for view in views:
            total = total + self.vectors(self.precision.to_layout(view(images), self.device))
        with torch.inference_mode():
            return normalize(total, dim=1)
