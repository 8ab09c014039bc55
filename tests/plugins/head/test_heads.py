"""Heads against torch."""

from __future__ import annotations

import torch
from torch.nn import functional

from kit.kinds import Head


def test_cosines_are_torchs() -> None:
    head = Head.open("cosine").build(8, 3)
    vectors = torch.randn(5, 8, generator=torch.Generator().manual_seed(0))
    expected = functional.cosine_similarity(vectors[:, None], head.get_parameter("weight")[None], dim=2)
    torch.testing.assert_close(head(vectors), expected)


def test_cosines_stay_float32_under_amp() -> None:
    head = Head.open("cosine").build(8, 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert head(torch.randn(5, 8).bfloat16()).dtype == torch.float32


def test_an_embedding_goes_before_the_cosines() -> None:
    head = Head.open({"name": "cosine", "embedding": 4}).build(8, 3)
    assert head(torch.randn(5, 8)).shape == (5, 3)
    assert head.get_parameter("1.weight").shape == (3, 4)


def test_linear_drops_features_while_training_alone() -> None:
    head = Head.open({"name": "linear", "dropout": 0.9}).build(64, 2)
    ones = torch.ones(1, 64)
    torch.manual_seed(0)
    assert not torch.allclose(head.train()(ones), head.eval()(ones))
    torch.testing.assert_close(head.eval()(ones), functional.linear(ones, *head.parameters()))


def test_sub_centres_take_the_nearest_of_a_classs_vectors() -> None:
    head = Head.open({"name": "sub_centre", "centres": 2}).build(2, 2)
    with torch.no_grad():
        head.get_parameter("cosines.weight").copy_(
            torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [-1.0, 0.0]])
        )
    torch.testing.assert_close(
        head(torch.tensor([[0.0, 2.0], [3.0, 0.0]])), torch.tensor([[1.0, 0.0], [1.0, -1.0]])
    )


def test_multi_sample_is_the_mean_of_its_samples_logits() -> None:
    head = Head.open({"name": "multi_sample", "samples": 4}).build(6, 3)
    vectors = torch.randn(5, 6, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(1)
    layer = head.get_parameter("linear.weight"), head.get_parameter("linear.bias")
    outputs = head.train()(vectors)
    torch.manual_seed(1)
    by_hand = torch.stack([functional.linear(functional.dropout(vectors, 0.5), *layer) for _ in range(4)])
    torch.testing.assert_close(outputs, by_hand.mean(0))
    torch.testing.assert_close(head.eval()(vectors), functional.linear(vectors, *layer))
