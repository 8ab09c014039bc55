"""Every wrapper over every loss and every kind of labels that it takes, against the mixture written by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from kit.core.randomness import generator
from kit.kinds import Classes, LabelKind, Loss
from kit.kinds.levels import Level
from kit.kinds.registry import locations
from kit.kinds.several_target import SeveralTarget
from kit.kinds.targets import LABEL_KINDS, MULTI_HOT, PLAIN_TARGETS
from kit.plugins.loss._batch_mixing import BatchMixing
from kit.plugins.loss.class_weighted import ClassWeighted

FACTORS = (("p", "u"), ("p", "v"), ("q", "u"), ("q", "v"))
LEVELS = (Level("genus", ("s", "t", "s", "t")),)
CLASSES = Classes(("a", "b", "c", "d"), (40, 10, 5, 1), ("x", "x", "y", "z"), FACTORS, 56, levels=LEVELS)
SEVERAL = replace(CLASSES, target=MULTI_HOT)
PARTS = SeveralTarget((("first", 2), ("second", 2)))
LOSSES = [
    name
    for name in locations("loss")
    if "base" not in Loss.open(name).option_fields() or not issubclass(type(Loss.open(name)), BatchMixing)
]
WAYS = [(name, kind) for name in LOSSES for kind in LABEL_KINDS if Loss.open(name).takes_labels(kind)]
MIXTURES = [name for name in locations("loss") if isinstance(Loss.open(name), BatchMixing)]


def case(loss: Loss, kind: LabelKind = "class_index", rows: int = 7) -> tuple[torch.Tensor, torch.Tensor]:
    draws = torch.Generator().manual_seed(4)
    outputs = torch.randn(rows, loss.width(4), generator=draws)
    labels = torch.randint(0, 4, (rows,), generator=draws)
    if kind == "multi_hot":
        labels = torch.randint(0, 2, (rows, 4), generator=draws).float()
    elif kind == "several":
        labels = functional.one_hot(labels % 2, 2).float().repeat(1, 2)
    elif kind == "numbers":
        labels = torch.randn(rows, 4, generator=draws)
    elif kind == "soft":
        labels = torch.randn(rows, 4, generator=draws).softmax(dim=1)
    if loss.outputs() == "logits_and_embedding":
        outputs = torch.cat([outputs, functional.normalize(torch.randn(rows, 6, generator=draws))], dim=1)
    return (torch.tanh(outputs) if loss.outputs() == "cosines" else outputs), labels


def test_there_are_wrappers_and_losses_to_wrap() -> None:
    assert {"cutmix", "mixup", "cutmix_or_mixup"} <= set(MIXTURES)
    assert {"cross_entropy", "label_smoothing", "arcface", "focal", "class_weighted"} <= set(LOSSES)
    assert {("bce", "class_index"), ("bce", "multi_hot"), ("asymmetric", "multi_hot")} <= set(WAYS)
    assert ("cross_entropy", "multi_hot") not in WAYS


@pytest.mark.parametrize(("base", "kind"), WAYS, ids="-".join)
@pytest.mark.parametrize("wrapper", MIXTURES)
def test_a_wrapped_loss_is_the_mixture_of_two(wrapper: str, base: str, kind: LabelKind) -> None:
    classes = replace(CLASSES, target=PLAIN_TARGETS.get(kind, PARTS), target_range=(-9, 9))
    plain = Loss.open(base).with_classes(classes)
    wrapped = Loss.open({"name": wrapper, "base": base}).with_classes(classes)
    assert wrapped.takes_labels(kind)
    outputs, labels = case(plain, kind)
    images = torch.randint(0, 256, (7, 3, 16, 16), dtype=torch.uint8)
    _, shares = wrapped.mix(images, labels, generator(2, "mix"))
    (kept, own), (pasted, other) = shares
    partner = generator(2, "mix")
    partner.random()  # whether this batch is mixed
    assert torch.equal(own, labels)
    assert torch.equal(other, labels[torch.from_numpy(partner.permutation(7))])
    losses = sum(share * wrapped.rows(outputs, given) for share, given in shares)
    by_hand = kept * plain.rows(outputs, labels) + (1 - kept) * plain.rows(outputs, other)
    torch.testing.assert_close(losses, by_hand)
    torch.testing.assert_close(wrapped.probabilities(outputs), plain.probabilities(outputs))
    assert kept + pasted == pytest.approx(1)


@pytest.mark.parametrize("wrapper", MIXTURES)
def test_a_wrapper_takes_the_labels_that_its_base_takes(wrapper: str) -> None:
    for name in LOSSES:
        wrapped, base = Loss.open({"name": wrapper, "base": name}), Loss.open(name)
        assert [wrapped.takes_labels(kind) for kind in LABEL_KINDS] == [
            base.takes_labels(kind) for kind in LABEL_KINDS
        ]


@pytest.mark.parametrize("wrapper", MIXTURES)
def test_mixed_bce_is_bce_of_the_mixed_labels(wrapper: str) -> None:
    loss = Loss.open({"name": wrapper, "base": "bce"}).with_classes(SEVERAL)
    outputs, labels = case(loss, "multi_hot")
    images = torch.randint(0, 256, (7, 3, 16, 16), dtype=torch.uint8)
    _, shares = loss.mix(images, labels, generator(2, "mix"))
    mixed = torch.stack([share * given for share, given in shares]).sum(0)
    expected = functional.binary_cross_entropy_with_logits(outputs, mixed, reduction="none").mean(1)
    torch.testing.assert_close(sum(share * loss.rows(outputs, given) for share, given in shares), expected)


@pytest.mark.parametrize("outer", MIXTURES)
@pytest.mark.parametrize("inner", MIXTURES)
def test_wrappers_of_wrappers_keep_shares_that_sum_to_one(outer: str, inner: str) -> None:
    loss = Loss.open({"name": outer, "base": {"name": inner, "base": "arcface"}})
    _, shares = loss.mix(torch.rand(5, 3, 8, 8), torch.arange(5) % 4, generator(0, "mix"))
    assert len(shares) == 4
    assert sum(share for share, _ in shares) == pytest.approx(1)
    assert loss.head() == "cosine"


@pytest.mark.parametrize("base", [name for name, kind in WAYS if kind == "class_index"])
def test_class_weights_multiply_any_loss(base: str) -> None:
    plain = Loss.open(base).with_classes(CLASSES)
    weighted = Loss.open({"name": "class_weighted", "base": base}).with_classes(CLASSES)
    outputs, labels = case(plain)
    by_hand = 56 / (4 * np.array([40, 10, 5, 1]))  # scikit-learn's "balanced"
    torch.testing.assert_close(
        weighted.rows(outputs, labels),
        plain.rows(outputs, labels) * torch.tensor(by_hand, dtype=torch.float32)[labels],
    )


def test_class_weighted_cross_entropy_is_torchs_before_its_mean() -> None:
    loss = ClassWeighted.open({"name": "class_weighted", "power": 0.5}).with_classes(CLASSES)
    outputs, labels = case(loss)
    weights = torch.tensor(loss.weights())
    expected = functional.cross_entropy(outputs, labels, weight=weights, reduction="none")
    torch.testing.assert_close(loss.rows(outputs, labels), expected)
    assert np.average(loss.weights(), weights=CLASSES.counts) == pytest.approx(1)


def test_a_class_without_rows_has_a_finite_weight() -> None:
    loss = ClassWeighted.open("class_weighted").with_classes(Classes(("a", "b"), (10, 0)))
    assert np.isfinite(loss.weights()).all()


def test_mixup_pixels_and_share_by_hand() -> None:
    images = torch.tensor([0.0, 100.0, 200.0]).view(3, 1, 1, 1).expand(3, 3, 2, 2).to(torch.uint8)
    mixed, ((kept, _), (_, other)) = Loss.open("mixup").mix(images, torch.arange(3), generator(5, "mix"))
    for row in range(3):
        assert mixed[row].mean().item() == pytest.approx(
            100 * (kept * row + (1 - kept) * other[row].item()), rel=1e-4
        )


def test_mixing_ends_at_the_given_step() -> None:
    loss = Loss.open({"name": "cutmix_or_mixup", "stop_after": 0.6})
    images = torch.rand(4, 3, 8, 8)
    assert len(loss.mix(images, torch.arange(4), generator(0, "mix"), progress=0.59)[1]) == 2
    shown, shares = loss.mix(images, torch.arange(4), generator(0, "mix"), progress=0.6)
    assert shown is images
    assert len(shares) == 1


def test_both_kinds_of_mixture_occur() -> None:
    loss = Loss.open("cutmix_or_mixup")
    images = torch.arange(6, dtype=torch.uint8).view(6, 1, 1, 1).expand(6, 3, 16, 16)
    kinds = [loss.mix(images, torch.arange(6), generator(0, "mix", draw))[0].dtype for draw in range(60)]
    assert 15 < sum(kind == torch.uint8 for kind in kinds) < 45


def test_focal_by_hand_and_at_zero_cross_entropy() -> None:
    outputs = torch.tensor([[2.0, 0.0], [-1.0, 1.0]])
    labels = torch.tensor([0, 0])
    p = outputs.softmax(1)[:, 0]
    torch.testing.assert_close(Loss.open("focal").rows(outputs, labels), -((1 - p) ** 2) * p.log())
    torch.testing.assert_close(
        Loss.open({"name": "focal", "gamma": 0}).rows(outputs, labels),
        functional.cross_entropy(outputs, labels, reduction="none"),
    )


def test_two_class_focal_is_torchvisions_sigmoid_one() -> None:
    from kit.device import torch_internals

    torch_internals.prepare_torchvision()
    from torchvision.ops import sigmoid_focal_loss

    margins = torch.linspace(-3, 3, 13)
    labels = torch.arange(13) % 2
    theirs = sigmoid_focal_loss(margins, labels.float(), alpha=-1, gamma=1.5, reduction="none")
    ours = Loss.open({"name": "focal", "gamma": 1.5}).rows(torch.stack([torch.zeros(13), margins], 1), labels)
    torch.testing.assert_close(ours, theirs)


def test_symmetric_cross_entropy_is_both_sums_written_out() -> None:
    outputs, labels = case(Loss.open("cross_entropy"))
    p, q = outputs.softmax(1), functional.one_hot(labels, 4).float()
    log_q = torch.where(q > 0, torch.zeros(()), torch.tensor(-4.0))
    expected = -0.5 * (q * p.log()).sum(1) - 1.0 * (p * log_q).sum(1)
    torch.testing.assert_close(Loss.open("symmetric_cross_entropy").rows(outputs, labels), expected)


@pytest.mark.parametrize("margin", [0.0, 0.2, 0.4])
def test_cosface_is_pytorch_metric_learnings(margin: float) -> None:
    from pytorch_metric_learning import losses as metric_learning

    reference = metric_learning.CosFaceLoss(7, 16, margin=margin, scale=30)
    draws = torch.Generator().manual_seed(2)
    vectors, labels = torch.randn(20, 16, generator=draws), torch.randint(0, 7, (20,), generator=draws)
    cosines = functional.normalize(vectors) @ functional.normalize(reference.W.detach(), dim=0)
    theirs = torch.stack([reference(v[None], y[None]) for v, y in zip(vectors, labels, strict=True)])
    ours = Loss.open({"name": "cosface", "margin": margin, "scale": 30}).rows(cosines, labels)
    torch.testing.assert_close(ours, theirs.detach(), rtol=1e-4, atol=1e-4)
