"""Modules that pool vectors (N, T, features) over the instances of a mask (N, T)."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn


def masked_mean(vectors: Tensor, known: Tensor) -> Tensor:
    """Returns the mean over instances, (N, features)."""
    counts = known.sum(dim=1, keepdim=True).clamp(min=1)
    return vectors.masked_fill(~known[:, :, None], 0.0).sum(dim=1) / counts


class MaskedMean(nn.Module):
    """The mean over instances."""

    def forward(self, vectors: Tensor, known: Tensor) -> Tensor:
        return masked_mean(vectors, known)


class MaskedTopK(nn.Module):
    """The mean of the k largest values of each feature, or of all values of a bag with fewer instances."""

    def __init__(self, k: int) -> None:
        super().__init__()
        self.k = k

    def forward(self, vectors: Tensor, known: Tensor) -> Tensor:
        lowest = torch.finfo(vectors.dtype).min
        largest = vectors.masked_fill(~known[:, :, None], lowest).topk(min(self.k, vectors.shape[1]), dim=1)[
            0
        ]
        counts = known.sum(dim=1, keepdim=True).clamp(min=1)
        is_taken = torch.arange(largest.shape[1], device=vectors.device) < counts
        return masked_mean(largest, is_taken)


class MaskedAttention(nn.Module):
    """A mean over instances, weighted by the softmax of one score each."""

    def __init__(self, features: int, hidden: int, gated: bool) -> None:
        super().__init__()
        self.values = nn.Linear(features, hidden)
        self.gate = nn.Linear(features, hidden) if gated else None
        self.score = nn.Linear(hidden, 1, bias=False)

    def weights(self, vectors: Tensor, known: Tensor) -> Tensor:
        """Returns the weight of each instance, (N, T), of sum 1 within a bag."""
        hidden = torch.tanh(self.values(vectors))
        if self.gate is not None:
            hidden = hidden * torch.sigmoid(self.gate(vectors))
        scores = cast(Tensor, self.score(hidden))[:, :, 0].float()
        return scores.masked_fill(~known, float("-inf")).softmax(dim=1)

    def forward(self, vectors: Tensor, known: Tensor) -> Tensor:
        return (self.weights(vectors, known)[:, :, None] * vectors).sum(dim=1)
