"""Modules of the kind `columns`: side values with embedded categories, and four ways of late fusion."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from kit.kinds import ColumnLayout, ColumnSpan


def embedding_size(values: int) -> int:
    """Returns the embedding size of a category with this number of values: min(600, round(1.6 n^0.56)).

    Source: fastai.tabular.model.emb_sz_rule.
    """
    return min(600, round(1.6 * math.pow(values, 0.56)))


class SideFeatures(nn.Module):
    """Side values (N, W) to (N, width): categories with more than `embed_above` values become embeddings.

    An embedding is a product with the one-hot code. So codes that a loss has mixed have mixed embeddings, and
    a value without training rows has an embedding of zeros.
    """

    def __init__(self, layout: ColumnLayout, embed_above: int) -> None:
        super().__init__()
        embedded = [span for span in layout.spans if span.kind == "category" and span.width > embed_above]
        self.embeddings = nn.ModuleList(_make_embedding(span) for span in embedded)
        self.blocks = [(span.start, span.stop) for span in embedded]
        covered = {column for start, stop in self.blocks for column in range(start, stop)}
        self.rest = [column for column in range(layout.width) if column not in covered]
        self.width = len(self.rest) + sum(embedding_size(span.width) for span in embedded)

    def forward(self, side: Tensor) -> Tensor:
        if not self.blocks:
            return side
        embedded = [
            embedding(side[:, start:stop])
            for embedding, (start, stop) in zip(self.embeddings, self.blocks, strict=True)
        ]
        return torch.cat([side[:, self.rest], *embedded], dim=1)


def _make_embedding(span: ColumnSpan) -> nn.Linear:
    embedding = nn.Linear(span.width, embedding_size(span.width), bias=False)
    # fastai.layers.Embedding starts with equally small values
    nn.init.trunc_normal_(embedding.weight, std=0.01)
    return embedding


def make_layers(side: SideFeatures, hidden: int, dropout: float) -> nn.Sequential:
    """Returns two linear layers with ReLU and dropout on side values: (N, W) to (N, hidden)."""
    return nn.Sequential(
        side,
        nn.Linear(side.width, hidden),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(hidden, hidden),
        nn.ReLU(),
        nn.Dropout(dropout),
    )


class Concatenated(nn.Module):
    """The image's vector (N, features), followed by the output of `side` for side values."""

    def __init__(self, side: nn.Module) -> None:
        super().__init__()
        self.side = side

    def forward(self, vectors: Tensor, side: Tensor) -> Tensor:
        return torch.cat([vectors, self.side(side).to(vectors.dtype)], dim=1)


class Modulated(nn.Module):
    """The image's vector times 1 + a scale plus a shift, both computed from side values; at first the vector itself."""

    def __init__(self, side: nn.Module, hidden: int, features: int) -> None:
        super().__init__()
        self.side, self.affine = side, nn.Linear(hidden, 2 * features)
        nn.init.zeros_(self.affine.weight)
        nn.init.zeros_(self.affine.bias)

    def forward(self, vectors: Tensor, side: Tensor) -> Tensor:
        scale, shift = self.affine(self.side(side)).chunk(2, dim=1)
        return torch.as_tensor(vectors * (1 + scale) + shift)


class Gated(nn.Module):
    """z * tanh(image) + (1 - z) * tanh(side), (N, hidden), with a gate z of both."""

    def __init__(self, side: SideFeatures, features: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.side, self.dropout = side, nn.Dropout(dropout)
        self.of_image, self.of_side = nn.Linear(features, hidden), nn.Linear(side.width, hidden)
        self.gate = nn.Linear(features + side.width, hidden)

    def forward(self, vectors: Tensor, side: Tensor) -> Tensor:
        values = self.side(side).to(vectors.dtype)
        gate = torch.sigmoid(self.gate(torch.cat([vectors, values], dim=1)))
        mixed = gate * torch.tanh(self.of_image(vectors)) + (1 - gate) * torch.tanh(self.of_side(values))
        return torch.as_tensor(self.dropout(mixed))
