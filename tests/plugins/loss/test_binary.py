"""Losses of one question a class, against torch, timm and numbers by hand."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch.nn import functional

from kit.device import torch_internals
from kit.kinds import Classes, Loss
from kit.kinds.targets import MULTI_HOT
from kit.plugins.loss.bce import Bce

torch_internals.prepare_torchvision()

from timm.loss import AsymmetricLossMultiLabel, BinaryCrossEntropy  # noqa: E402

SEVERAL = Classes(("a", "b", "c"), (3, 1, 0), total=4, target=MULTI_HOT)
ONE = Classes(("a", "b", "c"), (3, 1, 0), total=4)


def drawn(rows: int = 20, classes: int = 5) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Outputs, multi-hot labels, class numbers."""
    draws = torch.Generator().manual_seed(0)
    outputs = 2 * torch.randn(rows, classes, generator=draws)
    hot = torch.randint(0, 2, (rows, classes), generator=draws).float()
    return outputs, hot, torch.randint(0, classes, (rows,), generator=draws)


def test_bce_by_hand() -> None:
    outputs = torch.tensor([[0.0, math.log(3.0)]])  # sigmoids 1/2 and 3/4
    for labels, right in (
        ([1.0, 1.0], (1 / 2, 3 / 4)),
        ([0.0, 0.0], (1 / 2, 1 / 4)),
        ([0.0, 1.0], (1 / 2, 3 / 4)),
    ):
        costs = [-math.log(p) for p in right]
        losses = Loss.open("bce").rows(outputs, torch.tensor([labels]))
        assert losses.item() == pytest.approx(sum(costs) / 2, rel=1e-6)
        summed = Loss.open({"name": "bce", "over_classes": "sum"}).rows(outputs, torch.tensor([labels]))
        assert summed.item() == pytest.approx(sum(costs), rel=1e-6)


def test_bce_is_torchs_mean_over_classes() -> None:
    outputs, hot, _ = drawn()
    expected = functional.binary_cross_entropy_with_logits(outputs, hot, reduction="none").mean(1)
    torch.testing.assert_close(Loss.open("bce").rows(outputs, hot), expected)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.4])
def test_bce_of_class_numbers_is_timms_one_against_the_rest(share: float) -> None:
    outputs, _, numbers = drawn()
    theirs = BinaryCrossEntropy(smoothing=share, reduction="none")(outputs, numbers).mean(1)
    ours = Loss.open({"name": "bce", "smoothing": share}).rows(outputs, numbers)
    torch.testing.assert_close(ours, theirs)


def test_smoothed_multi_hot_targets_move_half_as_far_on_either_side() -> None:
    outputs, hot, _ = drawn()
    expected = functional.binary_cross_entropy_with_logits(outputs, hot * 0.8 + 0.1, reduction="none").mean(1)
    torch.testing.assert_close(Loss.open({"name": "bce", "smoothing": 0.2}).rows(outputs, hot), expected)


def test_balance_weighs_a_yes_by_the_noes_for_each_yes() -> None:
    loss = Bce.open({"name": "bce", "balance": 1}).with_classes(SEVERAL)
    assert loss.weights() == [1 / 3, 3.0, 4.0]  # 1 no to 3 yeses, 3 to 1, and no row counts as one
    half = Bce.open({"name": "bce", "balance": 0.5}).with_classes(SEVERAL)
    assert half.weights() == pytest.approx([3**-0.5, 3**0.5, 2])
    outputs, hot, _ = drawn(classes=3)
    theirs = torch.nn.BCEWithLogitsLoss(pos_weight=torch.tensor([1 / 3, 3.0, 4.0]), reduction="none")
    torch.testing.assert_close(loss.rows(outputs, hot), theirs(outputs, hot).mean(1))


@pytest.mark.parametrize("gammas", [(4.0, 1.0), (2.0, 0.0), (0.0, 0.0)])
@pytest.mark.parametrize("shift", [0.0, 0.05, 0.2])
def test_asymmetric_is_timms(gammas: tuple[float, float], shift: float) -> None:
    outputs, hot, _ = drawn()
    no, yes = gammas
    reference = AsymmetricLossMultiLabel(gamma_neg=no, gamma_pos=yes, clip=shift)
    theirs = torch.stack(
        [reference(output[None], labels[None]) for output, labels in zip(outputs, hot, strict=True)]
    )
    spec = {"name": "asymmetric", "gamma_neg": no, "gamma_pos": yes, "clip": shift, "over_classes": "sum"}
    torch.testing.assert_close(Loss.open(spec).rows(outputs, hot), theirs)


def test_asymmetric_by_hand() -> None:
    outputs = torch.tensor([[0.0, math.log(3.0)]])  # sigmoids 1/2 and 3/4
    spec = {"name": "asymmetric", "gamma_neg": 2, "gamma_pos": 1, "clip": 0.25}
    yes, no = -0.5 * math.log(0.5), -(0.5**2) * math.log(0.5)  # p_m = 3/4 - 1/4
    losses = Loss.open(spec).rows(outputs, torch.tensor([[1.0, 0.0]]))
    assert losses.item() == pytest.approx((yes + no) / 2, rel=1e-6)


def test_an_easy_no_costs_nothing_and_pulls_nothing() -> None:
    outputs = torch.tensor([[-4.0, 0.0]], requires_grad=True)  # a sigmoid of .018, below the shift
    Loss.open("asymmetric").rows(outputs, torch.zeros(1, 2)).sum().backward()
    assert outputs.grad is not None
    assert outputs.grad[0, 0] == 0
    assert outputs.grad[0, 1] > 0


@pytest.mark.parametrize("name", ["bce", "asymmetric"])
def test_probabilities_of_several_labels_are_sigmoids_through_every_wrapper(name: str) -> None:
    outputs = drawn(classes=3)[0]
    for spec in (
        name,
        {"name": "cutmix", "base": name},
        {"name": "mixup", "base": {"name": "cutmix", "base": name}},
    ):
        torch.testing.assert_close(
            Loss.open(spec).with_classes(SEVERAL).probabilities(outputs), outputs.sigmoid()
        )


def test_probabilities_of_one_label_are_those_of_independent_answers_of_which_just_one_is_yes() -> None:
    outputs = drawn(rows=4, classes=3)[0].double()
    yes, by_hand = outputs.sigmoid(), torch.zeros(4, 3, dtype=torch.float64)
    for answers in itertools.product([0, 1], repeat=3):
        if sum(answers) == 1:
            chosen = torch.tensor(answers)
            by_hand[:, answers.index(1)] = torch.where(chosen == 1, yes, 1 - yes).prod(1)
    torch.testing.assert_close(
        Loss.open("bce").with_classes(ONE).probabilities(outputs), by_hand / by_hand.sum(1, keepdim=True)
    )


def test_arcface_over_bce_is_bce_of_the_logits_with_the_margin() -> None:
    cosines, _, numbers = drawn()
    cosines = torch.tanh(cosines)
    nested = Loss.open({"name": "arcface", "base": "bce", "margin": 0.0, "scale": 10})
    torch.testing.assert_close(nested.rows(cosines, numbers), Loss.open("bce").rows(10 * cosines, numbers))
    assert not nested.takes_labels("multi_hot")
