"""mlp: its logits are those of the layers by hand."""

from __future__ import annotations

import torch
from torch.nn import functional

from kit.plugins.head.mlp import Mlp


def test_logits_equal_those_of_the_layers_by_hand() -> None:
    head = Mlp(hidden=5, layers=2).build(4, 3).eval()
    vectors = torch.randn(6, 4)
    weights = [value for _, value in head.named_parameters()]
    hidden = vectors
    for layer in range(2):
        hidden = functional.gelu(hidden @ weights[2 * layer].T + weights[2 * layer + 1])
    torch.testing.assert_close(head(vectors), hidden @ weights[4].T + weights[5])
    assert [tuple(weight.shape) for weight in weights[::2]] == [(5, 4), (5, 5), (3, 5)]
