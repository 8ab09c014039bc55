"""Weights of rows in the loss: those of scikit-learn's sample_weight."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from kit.core.randomness import generator
from kit.data.table import Table
from kit.errors import ConfigError, DataError
from kit.experiment.techniques import check_row_weights
from kit.experiment.training_data import TrainingData, add_weights
from kit.kinds import Classes, Loss
from kit.kinds.targets import MULTI_HOT, NUMBERS, SOFT

NAMES = ("a", "b", "c")
OUTPUTS = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
NUMBERS_OF_CLASSES = torch.tensor([0, 2, 1, 1, 0, 2])
WEIGHTS = torch.tensor([1.0, 0, 3, 0.5, 1, 0.5])


def table(weights: list[float] | None) -> Table:
    ids = np.array([f"r{row}" for row in range(4)])
    row_weights = None if weights is None else np.array(weights)
    return Table(ids, [Path(name) for name in ids], ("a", "b"), np.array([0, 1, 1, 0]), weights=row_weights)


def test_the_mean_is_sklearns_weighted_log_loss() -> None:
    from sklearn.metrics import log_loss

    loss = Loss.open("row_weighted").with_classes(Classes(NAMES))
    labels = torch.stack([NUMBERS_OF_CLASSES.float(), WEIGHTS], dim=1)
    loss_value = loss.rows(OUTPUTS, labels).mean()
    wanted = log_loss(
        NUMBERS_OF_CLASSES, OUTPUTS.double().softmax(1), sample_weight=WEIGHTS
    )  # weights of mean 1
    assert float(loss_value) == pytest.approx(wanted, rel=1e-5)
    assert torch.equal(
        loss.rows(OUTPUTS, NUMBERS_OF_CLASSES), Loss.open("cross_entropy").rows(OUTPUTS, NUMBERS_OF_CLASSES)
    )


@pytest.mark.parametrize(("base", "target"), [("bce", MULTI_HOT), ("mse", NUMBERS), ("cross_entropy", SOFT)])
def test_labels_of_several_columns_have_their_weight_behind_them(base: str, target: object) -> None:
    classes = Classes(NAMES, target=target)  # type: ignore[arg-type]
    loss = Loss.open({"name": "row_weighted", "base": base}).with_classes(classes)
    plain = torch.eye(3)[NUMBERS_OF_CLASSES]
    losses = loss.rows(OUTPUTS, torch.cat([plain, WEIGHTS[:, None]], dim=1))
    assert torch.allclose(losses, WEIGHTS * Loss.open(base).with_classes(classes).rows(OUTPUTS, plain))


def test_mixed_labels_keep_the_weights_of_their_rows() -> None:
    loss = Loss.open({"name": "row_weighted", "base": {"name": "mixup", "alpha": 1}}).with_classes(
        Classes(NAMES)
    )
    labels = torch.stack([NUMBERS_OF_CLASSES.float(), WEIGHTS], dim=1)
    _, sets = loss.mix(torch.zeros(6, 3, 4, 4), labels, generator(0, "weights"))
    (_, own), (_, others) = sets
    pairs = {tuple(row) for row in labels.tolist()}
    assert torch.equal(own, labels)
    assert {tuple(row) for row in others.tolist()} == pairs


def test_weights_are_scaled_to_the_rows_that_a_fold_trains_on() -> None:
    own = TrainingData(None, np.array([0, 2]), np.array([0, 1, 1, 0]))  # type: ignore[arg-type]
    data = add_weights(own, table([1, 100, 3, 4]))
    assert data.targets is not None
    assert data.targets.tolist() == [[0, 0.5], [1, 50], [1, 1.5], [0, 2]]
    with pytest.raises(DataError, match="weight 0"):
        add_weights(replace(own, rows=np.array([1])), table([1, 0, 3, 4]))


@pytest.mark.parametrize(
    ("spec", "weights", "pseudo", "hint"),
    [
        ("row_weighted", None, None, "data.weight=COLUMN"),
        ({"name": "mixup", "base": "row_weighted"}, [1, 1, 1, 1], None, "loss=row_weighted loss.base=mixup"),
        ("row_weighted", [1, 1, 1, 1], "pseudo_labels/p", "loss=cross_entropy"),
    ],
)
def test_weights_that_cannot_be_used_are_refused(
    spec: object, weights: list[float] | None, pseudo: str | None, hint: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        check_row_weights([Loss.open(spec)], table(weights), pseudo)
    assert caught.value.hint == hint
    check_row_weights([Loss.open("row_weighted"), Loss.open("mixup")], table([1, 1, 1, 1]), None)
