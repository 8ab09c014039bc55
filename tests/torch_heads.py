"""A linear layer that torch trains as kit trains a head on cached vectors: the same draws, batches and steps."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from kit.core.batching import even_batches
from kit.core.randomness import generator, number

SEED, EPOCHS, BATCH, RATE = 3, 3, 8, 0.1


def train_layer(
    inputs: Tensor, labels: np.ndarray, rows: np.ndarray, classes: int, fold: int = 0
) -> nn.Linear:
    """Returns a layer trained on `rows` of inputs (N, features) by plain SGD at a constant rate and cross-entropy."""
    torch.manual_seed(number(SEED, "weights", fold))
    layer = nn.Linear(inputs.shape[1], classes)
    optimizer = torch.optim.SGD(layer.parameters(), lr=RATE)
    for epoch in range(EPOCHS):
        order = rows[generator(SEED, "order", fold, epoch).permutation(len(rows))]
        for part in even_batches(len(order), BATCH):
            optimizer.zero_grad()
            picked = order[part]
            nn.functional.cross_entropy(layer(inputs[picked]), torch.from_numpy(labels[picked])).backward()
            optimizer.step()
    return layer
