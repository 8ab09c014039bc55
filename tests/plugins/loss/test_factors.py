"""Labels made of factors: rows are the sum over factors, probabilities their product, by hand."""

from __future__ import annotations

import pickle

import pytest
import torch

from kit.config.models import Experiment
from kit.core.randomness import generator
from kit.errors import ConfigError
from kit.kinds import Classes, Loss
from kit.model import network

# mask x gender x age: 18 = 3 x 2 x 3
MASKS, GENDERS, AGES = ("wear", "wrong", "none"), ("male", "female"), ("<30", "30-60", ">=60")
FACTORS = tuple((mask, gender, age) for mask in MASKS for gender in GENDERS for age in AGES)
CLASSES = Classes(tuple(map(str, range(18))), tuple(range(1, 19)), (), FACTORS)
PARTIAL = Classes(("a", "b", "c"), (1, 2, 3), (), (("x", "u"), ("y", "u"), ("y", "v")))


def outputs(rows: int = 5, width: int = 8) -> torch.Tensor:
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(1))


def split(given: torch.Tensor) -> tuple[torch.Tensor, ...]:
    return given[:, :3], given[:, 3:5], given[:, 5:]


def numbers(label: int) -> tuple[int, int, int]:
    return label // 6, label // 3 % 2, label % 3


def test_outputs_stand_side_by_side_one_a_value() -> None:
    loss = Loss.open("factors").with_classes(CLASSES)
    assert loss.width(18) == 3 + 2 + 3
    assert Loss.open({"name": "cutmix", "base": "factors"}).with_classes(CLASSES).width(18) == 8


def test_rows_are_the_sum_over_factors() -> None:
    labels = torch.tensor([0, 5, 7, 12, 17])
    losses = Loss.open("factors").with_classes(CLASSES).rows(outputs(), labels)
    for row, label in enumerate(labels.tolist()):
        logs = [part.log_softmax(1)[row] for part in split(outputs())]
        by_hand = -sum(log[number] for log, number in zip(logs, numbers(label), strict=True))
        torch.testing.assert_close(losses[row], by_hand)


def test_probabilities_are_the_product_over_factors() -> None:
    probabilities = Loss.open("factors").with_classes(CLASSES).probabilities(outputs())
    mask, gender, age = (part.softmax(1) for part in split(outputs()))
    by_hand = torch.einsum("na,nb,nc->nabc", mask, gender, age).reshape(5, 18)
    torch.testing.assert_close(probabilities, by_hand)
    torch.testing.assert_close(probabilities.sum(1), torch.ones(5))


def test_where_some_combinations_are_no_class_the_product_is_shared_among_those_that_are() -> None:
    loss = Loss.open("factors").with_classes(PARTIAL)
    given = torch.tensor([[0.6, 0.4, 0.7, 0.3]]).log()
    products = torch.tensor([[0.6 * 0.7, 0.4 * 0.7, 0.4 * 0.3]])
    torch.testing.assert_close(loss.probabilities(given), products / products.sum())


def test_a_sure_answer_stays_finite() -> None:
    given = torch.tensor([[900.0, -900.0, 900.0, -900.0]])
    loss = Loss.open("factors").with_classes(PARTIAL)
    torch.testing.assert_close(loss.probabilities(given), torch.tensor([[1.0, 0.0, 0.0]]))


def test_cutmix_over_factors_shares_the_sum_of_both_labels() -> None:
    plain = Loss.open("factors").with_classes(CLASSES)
    labels = torch.tensor([0, 5, 7, 12, 17])
    images = torch.randint(0, 256, (5, 3, 12, 12), dtype=torch.uint8)
    for spec in ({"name": "cutmix", "base": "factors"}, {"name": "factors", "base": "cutmix"}):
        loss = Loss.open(spec).with_classes(CLASSES)
        _, shares = loss.mix(images, labels, generator(2, "mix"))
        (kept, own), (pasted, other) = shares
        assert kept + pasted == pytest.approx(1)
        assert 0 < pasted < 1
        losses = sum(share * loss.rows(outputs(), given) for share, given in shares)
        by_hand = kept * plain.rows(outputs(), own) + pasted * plain.rows(outputs(), other)
        torch.testing.assert_close(losses, by_hand)


def test_margins_and_counts_are_those_of_each_factor() -> None:
    loss = Loss.open({"name": "factors", "base": "adaptive_arcface"}).with_classes(CLASSES)
    cosines, labels = torch.tanh(outputs()), torch.tensor([0, 5, 7, 12, 17])
    assert (loss.head(), loss.outputs()) == ("cosine", "cosines")
    counts = torch.arange(1, 19).reshape(3, 2, 3)
    by_hand = torch.zeros(5)
    for axis, part in enumerate(split(cosines)):
        others = [other for other in range(3) if other != axis]
        known = tuple(counts.sum(others).tolist())
        one = Loss.open("adaptive_arcface").with_classes(Classes(tuple("abc"[: len(known)]), known))
        by_hand += one.rows(part, torch.tensor([numbers(label)[axis] for label in labels.tolist()]))
    torch.testing.assert_close(loss.rows(cosines, labels), by_hand)


def test_a_bound_loss_pickles_and_is_written_down_without_what_it_knows() -> None:
    loss = Loss.open({"name": "factors", "base": "arcface"}).with_classes(CLASSES)
    again = pickle.loads(pickle.dumps(loss))
    assert again == loss
    assert loss.spec() == Loss.open({"name": "factors", "base": "arcface"}).spec()
    assert set(loss.spec()) == {"name", "base"}


def test_without_factors_or_with_classes_that_share_them_it_says_what_to_write() -> None:
    with pytest.raises(ConfigError, match=r"C08 .*values that make up[\s\S]*data\.label_parts"):
        Loss.open({"name": "cutmix", "base": "factors"}).with_classes(Classes(("a", "b")))
    with pytest.raises(ConfigError, match=r"C08 several classes have the same[\s\S]*x/u"):
        Loss.open("factors").with_classes(Classes(("a", "b"), (), (), (("x", "u"), ("x", "u"))))


@pytest.mark.parametrize("wrapper", ["arcface", "cosface", "adaptive_arcface"])
@pytest.mark.parametrize(
    "base", ["factors", {"name": "cutmix", "base": {"name": "factors", "base": "arcface"}}]
)
def test_a_margin_around_factors_is_refused_and_told_the_other_way_round(wrapper: str, base: object) -> None:
    spec = {"name": "mixup", "base": {"name": wrapper, "base": base}}
    with pytest.raises(ConfigError, match=rf"C08 loss '{wrapper}' needs one output per class"):
        network.open_parts(Experiment.model_validate({"backbone": "small", "loss": spec}), None, CLASSES)


def test_the_head_gives_an_output_a_value_whatever_its_kind() -> None:
    for loss, head in (("cross_entropy", "multi_sample"), ("arcface", "sub_centre")):
        keys = {"backbone": "small", "loss": {"name": "factors", "base": loss}, "head": head}
        parts = network.open_parts(Experiment.model_validate(keys), None, CLASSES)
        model = network.build(parts, 18, 32).eval()
        given = model(torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8))
        assert given.shape == (2, 8)
        assert parts.loss.probabilities(given).shape == (2, 18)
