"""Losses of classes and their parents, by torch by hand: parents from sums of classes, and parents with own outputs."""

from __future__ import annotations

import pickle

import pytest
import torch
from torch.nn import functional

from kit.core.randomness import generator
from kit.errors import ConfigError
from kit.kinds import Classes, Loss
from kit.kinds.levels import Level
from kit.kinds.targets import SOFT

LEVELS = (Level("genus", ("x", "y", "x", "z")), Level("family", ("p", "p", "p", "q")))
CLASSES = Classes(("a", "b", "c", "d"), (4, 3, 2, 1), total=10, levels=LEVELS)
LABELS = torch.tensor([0, 1, 2, 3, 2])
GENUS, FAMILY = torch.tensor([0, 1, 0, 2]), torch.tensor([0, 0, 0, 1])


def outputs(width: int = 4) -> torch.Tensor:
    return 3 * torch.randn(5, width, generator=torch.Generator().manual_seed(1))


def opened(name: str, **options: object) -> Loss:
    return Loss.open({"name": name, **options}).with_classes(CLASSES)


def sums(shares: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
    return torch.stack(
        [shares[:, numbers == number].sum(1) for number in range(int(numbers.max()) + 1)], dim=1
    )


def test_a_parents_probability_is_the_sum_of_its_classes() -> None:
    shares = outputs().softmax(1)
    by_hand = functional.nll_loss(shares.log(), LABELS, reduction="none")
    for numbers, weight in ((GENUS, 0.5), (FAMILY, 1.0)):
        logs = sums(shares, numbers).log()
        by_hand = by_hand + weight * functional.nll_loss(logs, numbers[LABELS], reduction="none")
    loss = opened("levels", weights={"genus": 0.5})
    torch.testing.assert_close(loss.rows(outputs(), LABELS), by_hand / 2.5)
    torch.testing.assert_close(loss.probabilities(outputs()), shares)
    assert loss.width(4) == 4
    alone = opened("levels", weights={"genus": 0, "family": 0})
    torch.testing.assert_close(
        alone.rows(outputs(), LABELS), functional.cross_entropy(outputs(), LABELS, reduction="none")
    )


def test_its_gradient_is_that_of_the_sums_of_probabilities() -> None:
    loss = opened("levels")
    for scale in (1.0, 200.0):  # logits of 600 overflow without the largest one taken off
        given = (scale * outputs()).double().requires_grad_()
        (gradient,) = torch.autograd.grad(loss.rows(given, LABELS).sum(), given)
        logs = given.log_softmax(1)
        parts = [functional.nll_loss(logs, LABELS, reduction="sum")]
        for numbers in (GENUS, FAMILY):
            columns = [logs[:, numbers == at].logsumexp(1) for at in range(int(numbers.max()) + 1)]
            parts.append(functional.nll_loss(torch.stack(columns, 1), numbers[LABELS], reduction="sum"))
        (by_hand,) = torch.autograd.grad(torch.stack(parts).sum() / 3, given)
        assert gradient.isfinite().all()
        torch.testing.assert_close(gradient, by_hand)


def test_sums_of_a_large_tree_are_those_of_its_branches() -> None:
    draw = torch.Generator().manual_seed(3)
    genus_of = torch.cat([torch.arange(40), torch.randint(40, (160,), generator=draw)])
    family_of = torch.randint(7, (40,), generator=draw)[genus_of]
    levels = tuple(
        Level(name, tuple(map(str, numbers.tolist())))
        for name, numbers in (("genus", genus_of), ("family", family_of))
    )
    names = tuple(map(str, range(200)))
    given = (9 * torch.randn(3, 200, generator=draw)).double().requires_grad_()
    labels = torch.tensor([0, 7, 199])
    for weights in ({}, {"genus": 0}, {"family": 0}):
        loss = Loss.open({"name": "levels", "weights": weights}).with_classes(Classes(names, levels=levels))
        losses = loss.rows(given, labels)
        parts = [functional.cross_entropy(given, labels, reduction="none")]
        for name, numbers in (("genus", genus_of), ("family", family_of)):
            if name not in weights:
                logs = [given[:, numbers == at].logsumexp(1) for at in range(int(numbers.max()) + 1)]
                parts.append(
                    functional.cross_entropy(torch.stack(logs, 1), numbers[labels], reduction="none")
                )
        by_hand = torch.stack(parts).mean(0)
        torch.testing.assert_close(losses, by_hand)
        gradients = [torch.autograd.grad(each.sum(), given)[0] for each in (losses, by_hand)]
        torch.testing.assert_close(*gradients)


def test_shares_and_mixtures_reach_the_parents() -> None:
    soft = torch.rand(5, 4, generator=torch.Generator().manual_seed(2))
    soft = soft / soft.sum(1, keepdim=True)
    loss = Loss.open("levels").with_classes(
        Classes(CLASSES.names, CLASSES.counts, target=SOFT, levels=LEVELS)
    )
    logs = outputs().log_softmax(1)
    by_hand = -(soft * logs).sum(1)
    for numbers in (GENUS, FAMILY):
        by_hand = by_hand - (sums(soft, numbers) * sums(logs.exp(), numbers).log()).sum(1)
    torch.testing.assert_close(loss.rows(outputs(), soft), by_hand / 3)
    images = torch.randint(0, 256, (5, 3, 12, 12), dtype=torch.uint8)
    plain, mixed = opened("levels"), opened("mixup", base="levels")
    _, shares = mixed.mix(images, LABELS, generator(2, "mix"))
    losses = sum(share * mixed.rows(outputs(), given) for share, given in shares)
    torch.testing.assert_close(losses, sum(share * plain.rows(outputs(), given) for share, given in shares))


def test_counts_are_those_of_the_parents() -> None:
    loss = opened("levels", base={"name": "class_weighted", "power": 1.0}, weights={"genus": 0})
    logs = outputs().log_softmax(1)
    weights = torch.tensor([1 / 4, 1 / 3, 1 / 2, 1]) / 4 * 10  # a mean of 1 over the 10 rows
    first = functional.nll_loss(logs, LABELS, weight=weights, reduction="none")
    weights = torch.tensor([1 / 9, 1]) / 2 * 10
    family = sums(logs.exp(), FAMILY).log()
    second = functional.nll_loss(family, FAMILY[LABELS], weight=weights, reduction="none")
    torch.testing.assert_close(loss.rows(outputs(), LABELS), (first + second) / 2)


def test_level_heads_multiply_the_class_by_its_parents() -> None:
    loss = opened("level_heads", weights={"family": 0.1})
    assert loss.width(4) == 4 + 3 + 2
    given = outputs(9)
    leaf, genus, family = given[:, :4], given[:, 4:7], given[:, 7:]
    by_hand = functional.cross_entropy(leaf, LABELS, reduction="none")
    by_hand = by_hand + functional.cross_entropy(genus, GENUS[LABELS], reduction="none")
    by_hand = by_hand + 0.1 * functional.cross_entropy(family, FAMILY[LABELS], reduction="none")
    torch.testing.assert_close(loss.rows(given, LABELS), by_hand / 2.1)
    product = leaf.softmax(1) * genus.softmax(1)[:, GENUS] * family.softmax(1)[:, FAMILY]
    shares = product / product.sum(1, keepdim=True)
    torch.testing.assert_close(loss.probabilities(given), shares)
    # a sure genus leaves its classes alone, and the probability of a parent is the sum of its classes
    sure = torch.tensor([[0.0, 0, 1, 9, 40, 0, 0, 0, 0]])
    probabilities = loss.probabilities(sure)
    torch.testing.assert_close(sums(probabilities, GENUS), torch.tensor([[1.0, 0, 0]]))
    assert probabilities.argmax(1).item() == 2


@pytest.mark.parametrize("name", ["levels", "level_heads"])
def test_what_does_not_fit_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=r"C08 .* needs parents of the classes[\s\S]*data\.parents"):
        Loss.open(name).with_classes(Classes(("a", "b")))
    with pytest.raises(ConfigError, match=r"C47 .*no level 'famly'; did you mean 'family'"):
        opened(name, weights={"famly": 2})
    with pytest.raises(ConfigError, match="C02"):
        Loss.open({"name": name, "weights": {"family": -1}})
    loss = opened(name)
    assert pickle.loads(pickle.dumps(loss)) == loss
    assert set(loss.spec()) == {"name", "base", "weights"}


def test_losses_without_a_logit_per_class_are_no_base_of_levels() -> None:
    for base in ("coral", "arcface", "factors"):
        with pytest.raises(ConfigError, match="no loss of a logit per class"):
            Loss.open({"name": "levels", "base": base})
    opened("arcface", base="levels")
