"""The metric of parents: any metric on labels and probabilities that are mapped to the parents by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import entropy
from sklearn.metrics import accuracy_score, f1_score, log_loss, recall_score

from kit.errors import ConfigError
from kit.kinds import Metric
from kit.kinds.levels import Level
from kit.kinds.metric_shortcuts import scores_by_weights
from kit.kinds.score_context import ScoreContext
from kit.kinds.targets import SOFT

CLASSES = ("oak", "elm", "beech", "ash")
LEVELS = (
    Level("genus", ("Quercus", "Ulmus", "Fagus", "Fraxinus")),
    Level("family", ("Fagaceae", "Ulmaceae", "Fagaceae", "Oleaceae")),
    Level("order", ("Fagales", "Rosales", "Fagales", "Lamiales")),
)
KNOWN = ScoreContext(CLASSES, levels=LEVELS)
FAMILY = np.array([0, 1, 0, 2])
ROWS = 60


def draw() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.integers(0, 4, ROWS), rng.dirichlet(np.ones(4), ROWS)


def opened(context: ScoreContext = KNOWN, **spec: Any) -> Metric:
    metric = Metric.open({"name": "level", **spec}).with_known(context=context)
    metric.check_context()
    return metric


def of_families(shares: np.ndarray) -> np.ndarray:
    return np.stack([shares[:, family == FAMILY].sum(axis=1) for family in range(3)], axis=1)


def test_a_parents_probability_is_the_sum_of_its_classes() -> None:
    truth, shares = draw()
    families = of_families(shares)
    true, said = FAMILY[truth], families.argmax(axis=1)
    assert said.tolist() != FAMILY[shares.argmax(axis=1)].tolist()
    expected = {
        "accuracy": accuracy_score(true, said),
        "macro_f1": f1_score(true, said, average="macro"),
        "log_loss": log_loss(true, families),
    }
    for name, value in expected.items():
        assert opened(level="family", of=name).score(truth, shares) == pytest.approx(value), name
    assert not opened(level="family", of="log_loss").higher_is_better
    # the nearest level is the default
    assert opened().score(truth, shares) == pytest.approx(accuracy_score(truth, shares.argmax(axis=1)))


def test_the_inner_metric_knows_names_of_parents_and_the_levels_above() -> None:
    truth, shares = draw()
    families = of_families(shares)
    weights = {"Oleaceae": 5}
    rows = np.array([1, 1, 5])[FAMILY[truth]]
    metric = opened(level="family", of={"name": "log_loss", "class_weights": weights})
    assert metric.score(truth, shares) == pytest.approx(log_loss(FAMILY[truth], families, sample_weight=rows))
    inner = opened(level="family", of={"name": "level", "level": "order", "of": "log_loss"})
    assert inner.score(truth, shares) == pytest.approx(log_loss(FAMILY[truth], families))
    with pytest.raises(ConfigError, match="no class is named 'oak'"):
        opened(level="family", of={"name": "log_loss", "class_weights": {"oak": 2}})


def test_shares_of_parents_are_sums_too() -> None:
    truth, shares = np.random.default_rng(1).dirichlet(np.ones(4), ROWS), draw()[1]
    metric = opened(ScoreContext(CLASSES, target=SOFT, levels=LEVELS), level="family", of="kl_divergence")
    expected = entropy(of_families(truth), of_families(shares), axis=1).mean()
    assert metric.score(truth, shares) == pytest.approx(expected)


def test_a_mean_joins_levels_and_classes() -> None:
    truth, shares = draw()
    spec = {"name": "mean", "weights": [3, 1], "of": ["macro_f1", {"name": "level", "level": "family"}]}
    metric = Metric.open(spec).with_known(context=KNOWN)
    metric.check_context()
    classes = f1_score(truth, shares.argmax(axis=1), average="macro")
    families = accuracy_score(FAMILY[truth], of_families(shares).argmax(axis=1))
    assert metric.score(truth, shares) == pytest.approx((3 * classes + families) / 4)


def test_weights_of_rows_reach_the_inner_metric() -> None:
    truth, shares = draw()
    metric = opened(level="family", of={"name": "recall", "average": "macro"})
    weights = np.random.default_rng(2).integers(1, 4, ROWS)
    families = of_families(shares).argmax(axis=1)
    expected = recall_score(FAMILY[truth], families, average="macro", sample_weight=weights)
    rows = metric.take_rows(np.arange(ROWS) < 30)
    assert scores_by_weights(metric)
    assert metric.score_by_weights(truth, shares)(weights) == pytest.approx(expected)
    assert rows.score(truth[:30], shares[:30]) == pytest.approx(
        recall_score(FAMILY[truth[:30]], families[:30], average="macro")
    )


def test_unknown_levels_are_refused_before_training() -> None:
    with pytest.raises(ConfigError, match=r"C47 .* no level 'famly'; did you mean 'family'"):
        opened(level="famly")
    with pytest.raises(ConfigError, match="needs parents of the classes"):
        Metric.open("level").with_known(context=ScoreContext(CLASSES)).score(*draw())
