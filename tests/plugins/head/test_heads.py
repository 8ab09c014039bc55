"""Heads against torch."""

from __future__ import annotations

import torch
from torch.nn import functional

from kit.kinds import Head


def test_cosines_are_torchs() -> None:
    head = Head.open("cosine").build(8, 3)
    vectors = torch.randn(5, 8, generator=torch.Generator().manual_seed(0))
    expected = functional.cosine_similarity(vectors[:, None], head.weight[None], dim=2)
    torch.testing.assert_close(head(vectors), expected)


def test_cosines_stay_float32_under_amp() -> None:
    head = Head.open("cosine").build(8, 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert head(torch.randn(5, 8).bfloat16()).dtype == torch.float32


def test_an_embedding_goes_before_the_cosines() -> None:
    head = Head.open({"name": "cosine", "embedding": 4}).build(8, 3)
    assert head(torch.randn(5, 8)).shape == (5, 3)
    assert head[1].weight.shape == (3, 4)


def test_linear_drops_features_while_training_alone() -> None:
    head = Head.open({"name": "linear", "dropout": 0.9}).build(64, 2)
    ones = torch.ones(1, 64)
    torch.manual_seed(0)
    assert not torch.allclose(head.train()(ones), head.eval()(ones))
    torch.testing.assert_close(head.eval()(ones), functional.linear(ones, head[1].weight, head[1].bias))
