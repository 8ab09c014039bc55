"""The module of multi-sample dropout."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Dropouts(nn.Module):
    """(N, features) to (N, classes): in training the mean of a linear layer over several dropouts."""

    def __init__(self, features: int, classes: int, dropout: float, samples: int) -> None:
        super().__init__()
        self.samples = samples
        self.dropout, self.linear = nn.Dropout(dropout), nn.Linear(features, classes)

    def forward(self, vectors: Tensor) -> Tensor:
        if not self.training:
            return torch.as_tensor(self.linear(vectors))
        # the layer is linear, so the mean can be taken before it: one product instead of several
        averaged = torch.stack([self.dropout(vectors) for _ in range(self.samples)]).mean(0)
        return torch.as_tensor(self.linear(averaged))
