"""Where classes are many, decisions are counted by class: the same scores, without a table of classes by classes."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score

from kit.evaluation import bootstrap
from kit.evaluation.hill_climbing import Climb, DecisionClimb
from kit.kinds import Metric
from kit.kinds.metric_shortcuts import FromConfusionMatrix, score_decisions
from tests.drawn_members import drawn

PEERS = {
    "macro_f1": lambda truth, said, weights: f1_score(
        truth, said, average="macro", sample_weight=weights, zero_division=0
    ),
    "accuracy": lambda truth, said, weights: accuracy_score(truth, said, sample_weight=weights),
}


@pytest.mark.parametrize("name", PEERS)
def test_scores_and_their_bootstrap_are_sklearns(name: str) -> None:
    (shares, other), truth = drawn(members=2, rows=120, classes=30)
    metric, said = Metric.open(name), shares.argmax(axis=1)
    assert metric.score(truth, shares) == pytest.approx(PEERS[name](truth, said, None))
    assert isinstance(metric, FromConfusionMatrix)
    weights = np.arange(120) % 4 + 1
    assert score_decisions(metric, truth, said, 30, weights) == pytest.approx(
        PEERS[name](truth, said, weights)
    )
    scores = bootstrap.resample_scores(metric, truth, [shares, other])
    times = next(bootstrap._weights(np.arange(120), 1, 0, None))
    rows = np.repeat(np.arange(120), times)
    assert scores[0, 1] == pytest.approx(PEERS[name](truth[rows], other.argmax(axis=1)[rows], None))


@pytest.mark.parametrize("name", PEERS)
def test_a_climb_costs_what_the_slow_way_says(name: str) -> None:
    members, truth = drawn(members=4, rows=150, classes=25)
    metric = Metric.open(name)
    quick, slow = DecisionClimb(metric, members, truth), Climb(metric, members, truth)
    for member in (2, 0, 2):
        for climb in (quick, slow):
            climb.add(member)
        np.testing.assert_allclose(quick.costs(), slow.costs())
        np.testing.assert_allclose(quick.costs(0.5, [1, 3]), slow.costs(0.5, [1, 3]))


def test_ten_thousand_classes_need_no_table_of_their_square() -> None:
    """100 rows x 10,000 classes are 4 MB; the table would be 800 MB."""
    rng = np.random.default_rng(0)
    shares, truth = rng.random((100, 10_000), dtype=np.float32), rng.integers(10_000, size=100)
    tracemalloc.start()
    Metric.open("macro_f1").score(truth, shares)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 2e7
