"""Distillation and soft labels: torch's own divergence and cross-entropy, and bases and wrappers as they are alone."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from kit.core.randomness import generator
from kit.kinds import Classes, Loss

CLASSES = Classes(("a", "b", "c"), (6, 3, 1), ("x", "x", "y"), total=10)


def drawn(rows: int = 6) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Outputs of a student and of a teacher (N, 3), and class numbers (N,)."""
    draws = torch.Generator().manual_seed(3)
    student, teacher = (torch.randn(rows, 3, generator=draws) for _ in range(2))
    return student, teacher, torch.arange(rows) % 3


def beside(labels: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
    return torch.cat([labels[:, None].float(), shares], dim=1)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_it_is_cross_entropy_and_torchs_divergence_of_softened_logits(
    temperature: float, weight: float
) -> None:
    student, teacher, labels = drawn()
    loss = Loss.open({"name": "distillation", "temperature": temperature, "teacher_weight": weight})
    divergence = functional.kl_div(
        (student / temperature).log_softmax(1),
        (teacher / temperature).log_softmax(1),
        reduction="none",
        log_target=True,
    ).sum(1)
    expected = (1 - weight) * functional.cross_entropy(student, labels, reduction="none")
    expected += weight * temperature**2 * divergence
    losses = loss.rows(student, beside(labels, teacher.softmax(1)))
    torch.testing.assert_close(losses, expected, rtol=1e-4, atol=1e-5)


def test_by_hand_a_teacher_that_is_sure_costs_the_log_of_its_class() -> None:
    student = torch.tensor([[1.0, 3.0, 0.0]]).log()  # probabilities 1/4, 3/4, 0
    student[0, 2] = -80.0
    sure = beside(torch.tensor([0]), torch.tensor([[0.0, 1.0, 0.0]]))
    losses = Loss.open({"name": "distillation", "temperature": 1, "teacher_weight": 0.5}).rows(student, sure)
    assert losses.item() == pytest.approx(0.5 * 1.386294 + 0.5 * 0.287682, abs=1e-5)  # log 4, log 4/3


def test_a_row_that_no_teacher_saw_costs_what_the_base_says() -> None:
    student, teacher, labels = drawn()
    shares = teacher.softmax(1)
    shares[::2] = 0
    loss, base = Loss.open({"name": "distillation", "base": "focal"}), Loss.open("focal")
    losses, alone = loss.rows(student, beside(labels, shares)), base.rows(student, labels)
    assert torch.equal(losses[::2], alone[::2])
    assert not torch.isclose(losses[1::2], alone[1::2]).any()
    assert torch.equal(loss.rows(student, labels), alone)  # and so do labels alone


def test_its_student_is_what_the_base_makes_of_outputs() -> None:
    """Over a margin loss the student's probabilities are those of scaled cosines, without the margin."""
    student, teacher, labels = drawn()
    cosines = torch.tanh(student)
    loss = Loss.open({"name": "distillation", "base": {"name": "arcface", "scale": 10}, "temperature": 2})
    arc = Loss.open({"name": "arcface", "scale": 10})
    assert (loss.outputs(), loss.head()) == ("cosines", "cosine")
    divergence = functional.kl_div(
        (10 * cosines / 2).log_softmax(1), (teacher / 2).log_softmax(1), reduction="none", log_target=True
    ).sum(1)
    losses = loss.rows(cosines, beside(labels, teacher.softmax(1)))
    torch.testing.assert_close(
        losses, 0.5 * arc.rows(cosines, labels) + 0.5 * 4 * divergence, rtol=1e-4, atol=1e-4
    )


def test_cutmix_around_it_mixes_the_teachers_word_with_the_labels() -> None:
    student, teacher, labels = drawn()
    given = beside(labels, teacher.softmax(1))
    loss = Loss.open({"name": "cutmix", "base": "distillation"})
    images = torch.randint(0, 256, (6, 3, 8, 8), dtype=torch.uint8)
    _, ((_, own), (_, other)) = loss.mix(images, given, generator(2, "mix"))
    assert torch.equal(own, given)
    assert {tuple(row) for row in other.tolist()} == {tuple(row) for row in given.tolist()}
    inner = Loss.open("distillation")
    assert torch.equal(loss.rows(student, other), inner.rows(student, other))


def test_which_losses_take_soft_rows_and_a_teachers_word() -> None:
    def takes(spec: object) -> list[bool]:
        return [Loss.open(spec).takes_labels(kind) for kind in ("class_index", "soft", "taught", "multi_hot")]

    assert takes("cross_entropy") == [True, True, False, False]
    assert takes("arcface") == [True, False, False, False]
    assert takes("distillation") == [True, False, True, False]
    assert takes({"name": "distillation", "base": "arcface"}) == [True, False, True, False]
    assert takes({"name": "cutmix", "base": {"name": "distillation", "base": "focal"}}) == [
        True,
        False,
        True,
        False,
    ]
    assert takes({"name": "mixup", "base": "label_smoothing"}) == [True, True, False, False]
    assert takes({"name": "class_weighted", "base": "focal"}) == [True, False, False, False]


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_soft_rows_are_torchs_cross_entropy_of_probabilities(smoothing: float) -> None:
    student, teacher, _ = drawn()
    soft = teacher.softmax(1)
    loss = Loss.open({"name": "label_smoothing", "smoothing": smoothing})
    expected = functional.cross_entropy(student, soft, label_smoothing=smoothing, reduction="none")
    torch.testing.assert_close(loss.rows(student, soft), expected)


@pytest.mark.parametrize("name", ["cross_entropy", "label_smoothing", "group_smoothing"])
def test_a_soft_row_costs_what_its_classes_do_on_average(name: str) -> None:
    student, teacher, _ = drawn()
    soft, loss = teacher.softmax(1), Loss.open(name).with_classes(CLASSES)
    of_classes = torch.stack([loss.rows(student, torch.full((6,), k)) for k in range(3)], dim=1)
    torch.testing.assert_close(loss.rows(student, soft), (soft * of_classes).sum(1))


def test_a_soft_row_weighs_what_its_classes_weigh_on_average() -> None:
    student, _, _ = drawn(1)
    soft = torch.tensor([[0.5, 0.25, 0.25]])
    loss = Loss.open("class_weighted").with_classes(CLASSES)  # counts 6, 3, 1: weights 10/18, 10/9, 10/3
    weight = 0.5 * 10 / 18 + 0.25 * 10 / 9 + 0.25 * 10 / 3
    expected = weight * functional.cross_entropy(student, soft, reduction="none")
    torch.testing.assert_close(loss.rows(student, soft), expected)
