"""Losses of numbers: those of torch on standardised numbers, and predictions in the labels' own unit."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional

from kit.errors import ConfigError
from kit.kinds import Classes, Loss
from kit.kinds.targets import NUMBERS

MEANS, SCALES = (10.0, -2.0), (4.0, 0.5)
CLASSES = Classes(
    ("a", "b"), (6, 6), total=6, target=NUMBERS, means=MEANS, scales=SCALES, target_range=(-5, 45)
)
LABELS = torch.tensor([[2.0, -2.5], [10, -1], [30, -2], [11, -2.2], [9, -3], [14, -1.9]])
OUTPUTS = torch.linspace(-2, 2, 12).reshape(6, 2)
SCALED = (LABELS - torch.tensor(MEANS)) / torch.tensor(SCALES)


def bound(spec: object, classes: Classes = CLASSES) -> Loss:
    return Loss.open(spec).with_classes(classes)


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        ("mse", functional.mse_loss(OUTPUTS, SCALED, reduction="none")),
        ("mae", functional.l1_loss(OUTPUTS, SCALED, reduction="none")),
        (
            {"name": "smooth_l1", "beta": 0.3},
            functional.smooth_l1_loss(OUTPUTS, SCALED, reduction="none", beta=0.3),
        ),
        (
            "bce_range",
            functional.binary_cross_entropy_with_logits(OUTPUTS, (LABELS + 5) / 50, reduction="none"),
        ),
    ],
)
def test_a_row_costs_the_mean_of_torchs_loss_over_its_columns(
    spec: str | dict[str, Any], wanted: torch.Tensor
) -> None:
    assert torch.allclose(bound(spec).rows(OUTPUTS, LABELS), wanted.mean(dim=1))
    weights = {"name": spec} if isinstance(spec, str) else spec
    weighed = bound({**weights, "column_weights": {"b": 3}})
    assert torch.allclose(weighed.rows(OUTPUTS, LABELS), (wanted[:, 0] + 3 * wanted[:, 1]) / 4)


def test_predictions_are_in_the_unit_of_the_labels() -> None:
    assert torch.allclose(bound("mse").probabilities(SCALED), LABELS)
    # logits of the shares of the way from -5 to 45
    assert torch.allclose(bound("bce_range").probabilities(((LABELS + 5) / 50).logit()), LABELS, atol=1e-4)


def test_the_r2_loss_is_what_r2_lacks_of_1() -> None:
    from sklearn.metrics import r2_score

    loss_value = bound("r2").rows(OUTPUTS, LABELS).mean()
    wanted = 1 - r2_score(SCALED.numpy(), OUTPUTS.numpy())
    assert float(loss_value) == pytest.approx(wanted, rel=1e-5)
    assert not bound("r2").is_splittable()


def test_a_loss_without_its_range_or_with_an_unknown_column_is_refused() -> None:
    with pytest.raises(ConfigError, match="C08") as caught:
        bound("bce_range", Classes(("a",), target=NUMBERS))
    assert caught.value.hint == "data.target_range=[0,100]"
    with pytest.raises(ConfigError, match="no column 'c'"):
        bound({"name": "mse", "column_weights": {"c": 1}})


def test_mixup_shares_the_loss_of_numbers() -> None:
    loss = bound({"name": "mixup", "base": "mse"})
    assert loss.takes_labels("numbers")
    assert not Loss.open("mixup").takes_labels("numbers")
    assert torch.equal(loss.rows(OUTPUTS, LABELS), bound("mse").rows(OUTPUTS, LABELS))
