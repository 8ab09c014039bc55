"""Losses that know the classes: superclasses, margins by count."""

from __future__ import annotations

import math

import pytest
import torch
from pytorch_metric_learning import losses as metric_learning
from torch.nn import functional

from kit.errors import ConfigError
from kit.kinds import Classes, Head, Loss
from kit.plugins.loss.adaptive_arcface import AdaptiveArcface
from kit.plugins.loss.group_smoothing import GroupSmoothing

FRUIT = Classes(("red", "green", "yellow", "milk"), (5, 5, 5, 5), ("apple", "apple", "apple", "carton"))


def test_the_targets_of_group_smoothing_by_hand() -> None:
    targets = (
        GroupSmoothing.open({"name": "group_smoothing", "smoothing": 0.2, "within_group": 0.75})
        .with_classes(FRUIT)
        .targets()
    )
    everywhere, shared = 0.2 * 0.25 / 4, 0.2 * 0.75 / 2
    assert targets[0] == pytest.approx(
        [0.8 + everywhere, everywhere + shared, everywhere + shared, everywhere]
    )
    assert targets[3] == pytest.approx([0.05, 0.05, 0.05, 0.85])  # a group of one: plain smoothing
    assert [sum(row) for row in targets] == pytest.approx([1] * 4)


def test_rows_are_torchs_cross_entropy_against_soft_targets() -> None:
    loss = GroupSmoothing.open("group_smoothing").with_classes(FRUIT)
    outputs, labels = torch.randn(9, 4, generator=torch.Generator().manual_seed(0)), torch.arange(9) % 4
    expected = functional.cross_entropy(outputs, torch.tensor(loss.targets())[labels], reduction="none")
    torch.testing.assert_close(loss.rows(outputs, labels), expected)


def test_groups_of_one_make_it_label_smoothing() -> None:
    alone = Classes(("a", "b", "c"), (1, 1, 1), ("x", "y", "z"))
    outputs, labels = torch.randn(6, 3, generator=torch.Generator().manual_seed(0)), torch.arange(6) % 3
    ours = Loss.open({"name": "group_smoothing", "smoothing": 0.3}).with_classes(alone).rows(outputs, labels)
    theirs = functional.cross_entropy(outputs, labels, reduction="none", label_smoothing=0.3)
    torch.testing.assert_close(ours, theirs)


def test_without_groups_it_says_which_column_to_name() -> None:
    with pytest.raises(ConfigError, match=r"needs the classes' groups[\s\S]*data\.superclasses"):
        Loss.open({"name": "cutmix", "base": "group_smoothing"}).with_classes(Classes(("a", "b")))


def test_margins_of_counts_as_the_winners_had_them() -> None:
    loss = AdaptiveArcface.open("adaptive_arcface").with_classes(
        Classes(("a", "b", "c", "d"), (1, 10, 100, 1000))
    )
    assert loss.margins(4) == pytest.approx([0.5, 0.2605, 0.1258, 0.05], abs=1e-4)


def test_equal_counts_give_the_middle_margin_and_no_nan() -> None:
    loss = AdaptiveArcface.open("adaptive_arcface").with_classes(Classes(("a", "b"), (7, 7)))
    assert loss.margins(2) == pytest.approx([0.275, 0.275])
    assert AdaptiveArcface.open("adaptive_arcface").margins(3) == pytest.approx([0.275] * 3)


def test_each_class_has_the_arcface_of_its_margin() -> None:
    loss = AdaptiveArcface.open("adaptive_arcface").with_classes(Classes(("a", "b", "c"), (1, 10, 100)))
    cosines = torch.tanh(torch.randn(6, 3, generator=torch.Generator().manual_seed(0)))
    labels = torch.arange(6) % 3
    losses = loss.rows(cosines, labels)
    for row in range(6):
        margin = loss.margins(3)[labels[row]]
        alone = Loss.open({"name": "arcface", "margin": margin}).rows(
            cosines[row : row + 1], labels[row : row + 1]
        )
        assert losses[row].item() == pytest.approx(alone.item(), rel=1e-5)


def test_sub_centres_with_arcface_are_pytorch_metric_learnings() -> None:
    reference = metric_learning.SubCenterArcFaceLoss(
        num_classes=5, embedding_size=8, margin=math.degrees(0.3), scale=30, sub_centers=3
    )
    head = Head.open({"name": "sub_centre", "centres": 3}).build(8, 5)
    with torch.no_grad():
        head.get_parameter("cosines.weight").copy_(reference.W.T)
    draws = torch.Generator().manual_seed(2)
    vectors, labels = torch.randn(20, 8, generator=draws), torch.randint(0, 5, (20,), generator=draws)
    theirs = torch.stack([reference(v[None], y[None]) for v, y in zip(vectors, labels, strict=True)])
    ours = Loss.open({"name": "arcface", "margin": 0.3, "scale": 30}).rows(head(vectors), labels)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
