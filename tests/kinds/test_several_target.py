"""Answers of several parts: what their predictions must be, and losses and metrics of parts by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from kit.errors import ConfigError, InvalidError
from kit.kinds import Classes, Loss, Metric
from kit.kinds.score_context import ScoreContext
from kit.kinds.several_target import SeveralTarget
from kit.kinds.target_json import target_of

NAMES = ("a=0", "a=1", "b=x", "b=y", "b=z")
TARGET = SeveralTarget.of(NAMES)
LABELS = np.array([[1, 0, 0, 0, 1], [0, 1, 1, 0, 0], [0, 1, 0, 0, 0]], np.int8)  # the last row lacks b


def test_each_part_is_a_distribution() -> None:
    assert TARGET == SeveralTarget((("a", 2), ("b", 3))) == target_of(TARGET.to_json())
    rows = np.array([[0.4, 0.6, 0.2, 0.3, 0.5], [0.4, 0.5, 0.2, 0.3, 0.5]])
    faults = [(text, wrong.tolist()) for text, wrong in TARGET.find_faults(rows) if wrong.any()]
    assert faults == [("the sum of a part is not 1", [False, True])]
    assert TARGET.normalise(rows)[1] == pytest.approx([4 / 9, 5 / 9, 0.2, 0.3, 0.5])
    assert TARGET.guess(1, 5)[0] == pytest.approx([0.5, 0.5, 1 / 3, 1 / 3, 1 / 3])
    assert TARGET.prior(LABELS, 5) == pytest.approx([1 / 3, 2 / 3, 0.5, 0, 0.5])
    assert TARGET.describe(rows[0], NAMES) == "a=1, b=z"
    assert TARGET.strata(LABELS, 2).tolist() == [2, 0, 3]


def test_the_loss_is_the_weighted_mean_over_parts_without_missing_ones() -> None:
    classes = Classes(NAMES, (1, 2, 1, 0, 1), target=TARGET)
    loss = Loss.open({"name": "several", "weights": {"a": 2}}).with_classes(classes)
    outputs = torch.randn(3, 5, generator=torch.Generator().manual_seed(0))
    losses = loss.rows(outputs, torch.from_numpy(LABELS).float())
    first = functional.cross_entropy(outputs[:, :2], torch.tensor([0, 1, 1]), reduction="none")
    second = functional.cross_entropy(outputs[:, 2:], torch.tensor([2, 0, 0]), reduction="none")
    second[2] = 0
    assert torch.allclose(losses, (2 * first + second) / 3)
    parts = loss.probabilities(outputs)
    assert torch.allclose(parts[:, 2:], outputs[:, 2:].softmax(1))
    with pytest.raises(ConfigError, match="no part 'c'"):
        Loss.open({"name": "several", "weights": {"c": 2}}).with_classes(classes)


def test_a_metric_of_parts_needs_a_label_of_each() -> None:
    metric = Metric.open({"name": "parts", "of": "accuracy"})
    metric = metric.with_known(context=ScoreContext(NAMES, target=TARGET))
    shares = np.array([[0.9, 0.1, 0.1, 0.1, 0.8], [0.9, 0.1, 0.1, 0.8, 0.1], [0, 1, 1, 0, 0]])
    assert metric.score(LABELS, shares) == pytest.approx((2 / 3 + 1 / 2) / 2)
    with pytest.raises(InvalidError, match="no scored row has a label of part 'b'"):
        metric.score(LABELS[2:], shares[2:])
