"""Losses of grades: the formulas of their papers, and probabilities that keep the order."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from kit.kinds import Classes, Head, Loss

CLASSES = Classes(("0", "1", "2", "3"), (5, 3, 1, 1), total=10)
OUTPUTS = torch.tensor([[2.0, 0.5, -1.0], [0.1, 0.3, 0.2], [-3, -1, 4]])
LABELS = torch.tensor([2, 0, 3])


def bound(spec: object) -> Loss:
    return Loss.open(spec).with_classes(CLASSES)


def sigmoid(value: float) -> float:
    return float(1 / (1 + np.exp(-value)))


def test_coral_is_the_sum_of_binary_cross_entropies() -> None:
    # Cao et al., equation 4: -sum log s(f) y + (log s(f) - f) (1 - y), s the sigmoid
    wanted = [
        -sum(
            np.log(sigmoid(f)) * (label > step) + (np.log(sigmoid(f)) - f) * (label <= step)
            for step, f in enumerate(row)
        )
        for row, label in zip(OUTPUTS.tolist(), LABELS.tolist(), strict=True)
    ]
    assert np.allclose(bound("coral").rows(OUTPUTS, LABELS), wanted)


def test_corn_is_over_the_rows_that_reached_the_step_before() -> None:
    # Shi et al.: task k has the rows of grade k and more, and asks whether the grade is above k
    wanted = []
    for row, label in zip(OUTPUTS.tolist(), LABELS.tolist(), strict=True):
        costs = [
            -np.log(sigmoid(f)) if label > step else -np.log(1 - sigmoid(f))
            for step, f in enumerate(row)
            if label >= step
        ]
        wanted.append(sum(costs) / 3)
    assert np.allclose(bound("corn").rows(OUTPUTS, LABELS), wanted)
    one, two, three = (sigmoid(f) for f in OUTPUTS[0].tolist())
    probabilities = bound("corn").probabilities(OUTPUTS)[0]
    assert np.allclose(probabilities, [1 - one, one * (1 - two), one * two * (1 - three), one * two * three])


def test_probabilities_of_coral_are_differences_of_its_steps() -> None:
    probabilities = bound("coral").probabilities(OUTPUTS)
    one, two, three = (sigmoid(f) for f in OUTPUTS[0].tolist())
    assert np.allclose(probabilities[0], [1 - one, one - two, two - three, three])
    assert (probabilities >= 0).all()  # also of the third row, whose outputs rise
    assert torch.allclose(probabilities.sum(dim=1), torch.ones(3))


@pytest.mark.parametrize(
    ("error", "cost"),
    [
        ("squared", lambda e: e**2),
        ("absolute", abs),
        ("smooth_l1", lambda e: e**2 / 2 if abs(e) < 1 else abs(e) - 0.5),
    ],
)
def test_grade_regression_is_of_standardised_grades(error: str, cost: Callable[[float], float]) -> None:
    # grades 0 (5 rows), 1 (3), 2 and 3: mean 0.8, variance (5 * .64 + 3 * .04 + 1.44 + 4.84) / 10 = 0.96
    outputs = torch.tensor([[0.0], [1.5], [-2.0]])
    wanted = [cost(o - (g - 0.8) / 0.96**0.5) for o, g in ((0.0, 2), (1.5, 0), (-2.0, 3))]
    loss = bound({"name": "grade_regression", "error": error})
    assert np.allclose(loss.rows(outputs, LABELS), wanted)


def test_a_number_is_split_between_the_two_grades_beside_it() -> None:
    outputs = (torch.tensor([[2.3], [0.0], [7.0], [-1.0]]) - 0.8) / 0.96**0.5
    probabilities = bound("grade_regression").probabilities(outputs)
    assert np.allclose(
        probabilities, [[0, 0, 0.7, 0.3], [1.0, 0, 0, 0], [0, 0, 0, 1.0], [1.0, 0, 0, 0]], atol=1e-6
    )


def test_the_head_of_coral_has_one_direction_and_descending_biases() -> None:
    head = Head.open("coral").build(8, 3).eval()
    outputs = head(torch.randn(5, 8, generator=torch.Generator().manual_seed(0))).detach()
    # coral_pytorch.layers.CoralLayer starts its biases at (K - 1, ..., 1) / (K - 1)
    assert np.allclose(outputs[:, 0] - outputs[:, 1], 1 / 3, atol=1e-6)
    assert np.allclose(outputs[:, 1] - outputs[:, 2], 1 / 3, atol=1e-6)
    assert Loss.open("coral").head() == "coral"
    assert Loss.open({"name": "mixup", "base": "coral"}).head() == "coral"
