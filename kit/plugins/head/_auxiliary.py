"""The module of the head `joint`."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class WithEmbedding(nn.Module):
    """(N, features) to (N, classes + features): logits, then the features as unit vectors, float32 under AMP."""

    def __init__(self, features: int, classes: int, dropout: float) -> None:
        super().__init__()
        self.dropout, self.linear = nn.Dropout(dropout), nn.Linear(features, classes)

    def forward(self, vectors: Tensor) -> Tensor:
        logits = self.linear(self.dropout(vectors)).float()
        with torch.autocast(vectors.device.type, enabled=False):
            return torch.cat([logits, functional.normalize(vectors.float())], dim=1)
