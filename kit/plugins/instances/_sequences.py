"""Modules in which the instances of a bag interact before they are pooled."""

from __future__ import annotations

import math
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from kit.plugins.instances._masked import masked_mean

SLOWEST_WAVE = 10_000.0  # the wavelength in positions over 2 pi, as in the paper


class InstanceTransformer(nn.Module):
    """A linear layer, transformer layers over the instances of a bag, a norm, and the mean over instances."""

    def __init__(
        self, features: int, dim: int, heads: int, layers: int, dropout: float, positions: bool
    ) -> None:
        super().__init__()
        self.positions = positions
        self.enter = nn.Linear(features, dim)
        layer = nn.TransformerEncoderLayer(
            dim, heads, 2 * dim, dropout, activation="gelu", batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, layers, nn.LayerNorm(dim), enable_nested_tensor=False)

    def forward(self, vectors: Tensor, known: Tensor) -> Tensor:
        entered = cast(Tensor, self.enter(vectors))
        if self.positions:
            entered = entered + waves(vectors.shape[1], entered.shape[2]).to(entered)
        seen = self.encoder(entered, src_key_padding_mask=~known)
        return masked_mean(seen, known)


def waves(count: int, dim: int) -> Tensor:
    """Returns sines and cosines of positions 0 to count - 1, (count, dim). Source: Vaswani et al. 2017, section 3.5."""
    places = torch.arange(count, dtype=torch.float32)[:, None]
    rates = torch.exp(torch.arange(0, dim, 2, dtype=torch.float32) * (-math.log(SLOWEST_WAVE) / dim))
    waves_of_positions = torch.zeros(count, dim)
    waves_of_positions[:, 0::2] = torch.sin(places * rates)
    waves_of_positions[:, 1::2] = torch.cos(places * rates)[:, : dim // 2]
    return waves_of_positions


class Recurrent(nn.Module):
    """An LSTM or a GRU over the instances in their order; its outputs are averaged, or the last states are taken."""

    def __init__(
        self,
        cell: Literal["lstm", "gru"],
        features: int,
        hidden: int,
        layers: int,
        bidirectional: bool,
        dropout: float,
        take: Literal["mean", "last"],
    ) -> None:
        super().__init__()
        self.take = take
        build = nn.LSTM if cell == "lstm" else nn.GRU
        self.cells = build(
            features,
            hidden,
            layers,
            batch_first=True,
            bidirectional=bidirectional,
            dropout=dropout if layers > 1 else 0.0,
        )

    def forward(self, vectors: Tensor, known: Tensor) -> Tensor:
        # instances come before the padding
        packed = pack_padded_sequence(
            vectors, known.sum(dim=1).clamp(min=1).cpu(), batch_first=True, enforce_sorted=False
        )
        outputs, state = self.cells(packed)
        if self.take == "mean":
            return masked_mean(
                pad_packed_sequence(outputs, batch_first=True, total_length=known.shape[1])[0], known
            )
        last = state[0] if isinstance(state, tuple) else state
        directions = 2 if self.cells.bidirectional else 1
        return torch.cat(list(last[-directions:]), dim=1)
