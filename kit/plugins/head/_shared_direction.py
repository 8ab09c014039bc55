"""The module of the head `coral`."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class SharedDirection(nn.Module):
    """(N, features) to (N, classes): one linear output, and a bias per column from 1 down to 0."""

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(features, 1, bias=False)
        self.bias = nn.Parameter(torch.arange(classes, 0, -1).float() / classes)

    def forward(self, vectors: Tensor) -> Tensor:
        return torch.as_tensor(self.linear(vectors) + self.bias)
