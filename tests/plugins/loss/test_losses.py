"""Losses against torch, pytorch-metric-learning and mixtures written by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from pytorch_metric_learning import losses as metric_learning
from torch.nn import functional

from kit.core.randomness import generator
from kit.errors import ConfigError
from kit.kinds import Loss
from kit.plugins.loss.cutmix import box


def drawn(rows: int = 40, classes: int = 7) -> tuple[torch.Tensor, torch.Tensor]:
    draws = torch.Generator().manual_seed(0)
    return torch.randn(rows, classes, generator=draws), torch.randint(0, classes, (rows,), generator=draws)


def test_cross_entropy_is_minus_the_log_of_the_softmax() -> None:
    outputs = torch.tensor([[math.log(6.0), math.log(3.0), math.log(1.0)]])
    loss_value = Loss.open("cross_entropy").rows(outputs, torch.tensor([1]))
    assert loss_value.item() == pytest.approx(-math.log(0.3), rel=1e-6)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5])
def test_label_smoothing_is_the_written_out_sum(share: float) -> None:
    outputs, labels = drawn()
    logs = outputs.log_softmax(1)
    true = logs.gather(1, labels[:, None])[:, 0]
    expected = -(1 - share) * true - share * logs.mean(1)
    losses = Loss.open({"name": "label_smoothing", "smoothing": share}).rows(outputs, labels)
    torch.testing.assert_close(losses, expected)


@pytest.mark.parametrize("margin", [0.0, 0.2, 0.5, 1.2])
def test_arcface_is_pytorch_metric_learnings(margin: float) -> None:
    reference = metric_learning.ArcFaceLoss(7, 16, margin=math.degrees(margin), scale=30)
    draws = torch.Generator().manual_seed(2)
    vectors, labels = torch.randn(50, 16, generator=draws), torch.randint(0, 7, (50,), generator=draws)
    cosines = functional.normalize(vectors) @ functional.normalize(reference.W.detach(), dim=0)
    theirs = torch.stack([reference(v[None], y[None]) for v, y in zip(vectors, labels, strict=True)])
    ours = Loss.open({"name": "arcface", "margin": margin, "scale": 30}).rows(cosines, labels)
    torch.testing.assert_close(ours, theirs.detach(), rtol=1e-4, atol=1e-4)


def test_arcface_by_hand() -> None:
    cosines = torch.tensor([[0.5, 0.1], [-0.99, 0.3]])
    loss = Loss.open({"name": "arcface", "margin": 0.3, "scale": 2.0})
    moved = math.cos(math.acos(0.5) + 0.3)
    past = -0.99 - 0.3 * math.sin(math.pi - 0.3)
    expected = [
        -2 * moved + math.log(math.exp(2 * moved) + math.exp(0.2)),
        -2 * past + math.log(math.exp(2 * past) + math.exp(0.6)),
    ]
    torch.testing.assert_close(loss.rows(cosines, torch.tensor([0, 0])), torch.tensor(expected))


def test_arcface_survives_cosines_that_rounding_pushed_past_one() -> None:
    cosines = torch.tensor([[1.0002, -1.0002], [1.0, -1.0]], requires_grad=True)
    losses = Loss.open("arcface").rows(cosines, torch.tensor([0, 1]))
    losses.sum().backward()
    assert torch.isfinite(losses).all()
    assert cosines.grad is not None
    assert torch.isfinite(cosines.grad).all()


def test_arcface_over_a_smoothed_base_is_the_base_of_its_logits() -> None:
    cosines, labels = torch.tanh(drawn()[0]), drawn()[1]
    nested = Loss.open({"name": "arcface", "margin": 0.0, "scale": 10, "base": "label_smoothing"})
    expected = functional.cross_entropy(10 * cosines, labels, reduction="none", label_smoothing=0.1)
    torch.testing.assert_close(nested.rows(cosines, labels), expected)


def test_probabilities_of_a_margin_are_the_softmax_of_scaled_cosines_through_every_wrapper() -> None:
    cosines = torch.tanh(drawn()[0])
    wrapped = Loss.open({"name": "cutmix", "base": {"name": "arcface", "scale": 12}})
    torch.testing.assert_close(wrapped.probabilities(cosines), (12 * cosines).softmax(1))
    assert wrapped.outputs() == "cosines"


def test_cutmix_pastes_one_box_and_shares_labels_by_its_area() -> None:
    images = torch.arange(6, dtype=torch.uint8).view(6, 1, 1, 1).expand(6, 3, 20, 30).clone()
    mixed, shares = Loss.open("cutmix").mix(images, torch.arange(6), generator(3, "cutmix"))
    (kept, own), (pasted, other) = shares
    assert own.tolist() == list(range(6))
    assert 0 < pasted < 1
    for row in range(6):
        area = (mixed[row, 0] == other[row].item()).float().mean().item()
        assert area == pytest.approx(pasted if other[row] != row else 1.0)
        assert ((mixed[row] == row) | (mixed[row] == other[row].item())).all()
    assert kept + pasted == pytest.approx(1)


def test_the_share_kept_rises_when_boxes_are_clipped() -> None:
    areas = []
    for draw in range(4000):
        rng = generator(0, "box", draw)
        top, bottom, left, right = box(64, 64, 1 - rng.beta(1, 1), rng)
        areas.append((bottom - top) * (right - left) / 64**2)
    assert 1 - np.mean(areas) == pytest.approx(
        0.68, abs=0.02
    )  # worked out for a = 1; 0.50 if boxes were not clipped


@pytest.mark.parametrize("base", ["cross_entropy", "label_smoothing", {"name": "arcface"}], ids=str)
def test_cutmix_over_any_loss_is_the_mixture_of_two(base: object) -> None:
    outputs, labels = torch.tanh(drawn(6, 6)[0]), torch.arange(6)
    loss, plain = Loss.open({"name": "cutmix", "base": base}), Loss.open(base)
    _, shares = loss.mix(torch.zeros(6, 3, 8, 8), labels, generator(1, "mix"))
    losses = sum(share * loss.rows(outputs, given) for share, given in shares)
    (kept, own), (pasted, other) = shares
    torch.testing.assert_close(losses, kept * plain.rows(outputs, own) + pasted * plain.rows(outputs, other))


def test_cutmix_with_probability_zero_mixes_nothing() -> None:
    images = torch.rand(4, 3, 8, 8)
    mixed, shares = Loss.open({"name": "cutmix", "probability": 0}).mix(
        images, torch.arange(4), generator(0, "mix")
    )
    assert mixed is images
    assert [share for share, _ in shares] == [1.0]


def test_a_typo_in_a_nested_option_is_named_by_its_path() -> None:
    with pytest.raises(
        ConfigError, match=r"loss\.base\.margn: loss 'arcface' has no option 'margn'; did you mean 'margin'"
    ):
        Loss.open({"name": "cutmix", "base": {"name": "arcface", "margn": 1}})
