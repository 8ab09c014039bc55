"""Metrics over parts of an answer: pools of parts, and whether any part has a class."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import f1_score, log_loss, recall_score, roc_auc_score, root_mean_squared_error

from kit.errors import ConfigError, InvalidError
from kit.kinds import Metric
from kit.kinds.score_context import ScoreContext
from kit.kinds.several_target import SeveralTarget

PLAIN = """
from kit.kinds import Metric

class Plain(Metric):
    def score(self, truth, probabilities):
        return float(probabilities[:, 1].mean())
"""
ROWS = 40
NAMES = ("left=low", "left=mid", "left=high", "right=low", "right=mid", "wet", "old", "near", "far")
TARGET = SeveralTarget(
    (("left", 3), ("right", 2), ("flags", 2), ("near", 1), ("far", 1)),
    ("softmax", "softmax", "sigmoid", "number", "number"),
)
KNOWN = ScoreContext(NAMES, target=TARGET)


def draw() -> tuple[np.ndarray, np.ndarray]:
    """Labels and predictions of all parts; some labels are missing, and row 0 has none of the first three parts."""
    rng = np.random.default_rng(3)
    left, right = rng.integers(0, 3, ROWS), rng.integers(0, 2, ROWS)
    truth = np.concatenate(
        [np.eye(3)[left], np.eye(2)[right], rng.integers(0, 2, (ROWS, 2)), rng.normal(size=(ROWS, 2))], axis=1
    )
    truth[[0, 4], :3] = 0
    truth[[0, 4, 5], 3:5] = 0
    truth[[0, 6], 5] = truth[0, 6] = np.nan
    truth[7, 7] = np.nan
    given = np.concatenate(
        [
            rng.dirichlet(np.ones(3), ROWS),
            rng.dirichlet(np.ones(2), ROWS),
            rng.random((ROWS, 2)),
            rng.normal(size=(ROWS, 2)),
        ],
        axis=1,
    )
    return truth, given


def opened(context: ScoreContext = KNOWN, **spec: Any) -> Metric:
    metric = Metric.open(spec).with_known(context=context)
    metric.check_context()
    return metric


def of_severity() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Whether left or right is mid or high, its probability in each, and the row's largest weight."""
    truth, given = draw()
    columns, weighed = np.array([0, 1, 1, 0, 1.0]), np.array([1, 2, 4, 1, 2.0])
    left, right = truth[:, :3].any(axis=1), truth[:, 3:5].any(axis=1)
    yes = (truth[:, :5] * columns).any(axis=1)
    shares = np.stack([given[:, 1:3].sum(axis=1) * left, given[:, 4] * right], axis=1)
    weights = np.maximum((truth[:, :3] * weighed[:3]).sum(axis=1), (truth[:, 3:5] * weighed[3:]).sum(axis=1))
    some = left | right
    assert 1 < (~some).sum() < ROWS
    return yes[some], shares[some], weights[some]


def test_any_part_is_scored_by_the_largest_probability() -> None:
    yes, shares, _ = of_severity()
    metric = opened(name="any_part", parts=["left", "right"], classes=["mid", "high"])
    assert metric.score(*draw()) == pytest.approx(log_loss(yes, shares.max(axis=1)))
    assert not metric.higher_is_better
    assert metric.limits[0] == 0


def test_noisy_or_takes_parts_as_independent() -> None:
    yes, shares, _ = of_severity()
    metric = opened(
        name="any_part", parts=["left", "right"], classes=["mid", "high"], rule="noisy_or", of="auc"
    )
    either = 1 - (1 - shares[:, 0]) * (1 - shares[:, 1])
    assert metric.score(*draw()) == pytest.approx(roc_auc_score(yes, either))
    assert metric.higher_is_better


def test_a_row_has_the_largest_weight_of_its_labels() -> None:
    yes, shares, weights = of_severity()
    spec: dict[str, Any] = {
        "parts": ["*t"],
        "classes": ["mid", "high"],
        "class_weights": {"mid": 2, "hi*": 4},
    }
    expected = log_loss(yes, shares.max(axis=1), sample_weight=weights)
    assert opened(name="any_part", **spec).score(*draw()) == pytest.approx(expected)
    # weights count too if no part of the row has a class that is asked for
    truth, given = draw()
    own = opened(name="any_part", **{**spec, "classes": ["high"]})
    some = truth[:, :5].any(axis=1)
    left = truth[some, :3].any(axis=1)
    expected = log_loss(truth[some, 2] > 0, given[some, 2] * left, sample_weight=weights)
    assert own.score(truth, given) == pytest.approx(expected)


def test_columns_of_yes_and_no_are_parts_of_their_own() -> None:
    truth, given = draw()
    some = truth[:, 6] == truth[:, 6]
    known = truth[some, 5:7] == truth[some, 5:7]
    yes = (np.nan_to_num(truth[some, 5:7]) > 0).any(axis=1)
    expected = log_loss(yes, (given[some, 5:7] * known).max(axis=1))
    assert opened(name="any_part", parts=["flags"]).score(truth, given) == pytest.approx(expected)
    wet = opened(name="any_part", parts=["flags"], classes=["wet"])
    yes = np.nan_to_num(truth[some, 5]) > 0
    assert wet.score(truth, given) == pytest.approx(log_loss(yes, given[some, 5] * known[:, 0]))


def test_pools_are_scored_as_one_set_of_rows() -> None:
    truth, given = draw()
    context = ScoreContext(NAMES[:5], target=SeveralTarget.of(NAMES[:5]))
    spec = {
        "name": "parts",
        "of": {"name": "recall", "average": "macro"},
        "pools": {"sides": ["left", "right"]},
    }
    left, right = truth[:, :3].any(axis=1), truth[:, 3:5].any(axis=1)
    own = np.concatenate([truth[left, :3].argmax(axis=1), truth[right, 3:5].argmax(axis=1)])
    said = np.concatenate([given[left, :3].argmax(axis=1), given[right, 3:5].argmax(axis=1)])
    expected = recall_score(own, said, average="macro")
    assert opened(context, **spec).score(truth[:, :5], given[:, :5]) == pytest.approx(expected)


def test_pools_of_flags_and_of_numbers_stack_their_columns() -> None:
    truth, given = draw()
    spec: dict[str, Any] = {
        "name": "parts",
        "pools": {"both": ["flags"], "distance": ["near", "far"]},
        "weights": {"left": 0, "right": 0, "distance": 3},
    }
    metric = opened(**spec)
    some = truth[:, 5:7] == truth[:, 5:7]
    flags = log_loss(truth[:, 5:7][some], given[:, 5:7][some])
    some = truth[:, 7:] == truth[:, 7:]
    distance = root_mean_squared_error(truth[:, 7:][some], given[:, 7:][some])
    assert metric.score(truth, given) == pytest.approx(np.average([flags, distance], weights=[1, 3]))
    flags_alone = {**spec, "weights": {"left": 0, "right": 0, "distance": 0}, "sigmoid": "f1"}
    some = truth[:, 5:7] == truth[:, 5:7]
    expected = f1_score(truth[:, 5:7][some], given[:, 5:7][some] >= 0.5)
    assert opened(**flags_alone).score(truth, given) == pytest.approx(expected)


def test_rows_without_a_label_of_the_parts_have_no_score() -> None:
    truth, given = draw()
    metric = opened(name="any_part", parts=["left"], classes=["high"])
    with pytest.raises(InvalidError, match="no scored row has a label"):
        metric.score(truth[[0, 4]], given[[0, 4]])


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"name": "parts", "pools": {"sides": ["lefd"]}}, "no part is named 'lefd'; did you mean 'left'?"),
        ({"name": "parts", "pools": {"sides": ["left", "flags"]}}, "has parts of sigmoid and softmax"),
        ({"name": "parts", "pools": {"sides": []}}, "has parts of no part"),
        ({"name": "parts", "pools": {"a": ["left"], "b": ["*t"]}}, "part 'left' is in the pools 'a' and 'b'"),
        ({"name": "parts", "pools": {"left": ["right"]}}, "'left' is also the name of a part"),
        ({"name": "parts", "pools": {"a": ["left"]}, "weights": {"left": 2}}, "no part is named 'left'"),
        ({"name": "any_part", "parts": ["near"]}, "no part is named 'near'"),
        ({"name": "any_part", "classes": ["severe"]}, "no class is named 'severe'"),
        ({"name": "any_part", "class_weights": {"x*": 2}}, "no class is named 'x*'"),
        ({"name": "mean", "of": ["any_part"], "columns": [["wet"]]}, "an answer of several parts"),
    ],
)
def test_names_that_do_not_fit_are_refused_before_training(spec: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match="C47") as caught:
        opened(**spec)
    assert said in caught.value.summary


def test_metrics_that_cannot_weigh_rows_are_refused(tmp_path: Path) -> None:
    (tmp_path / "plugins/metric").mkdir(parents=True)
    (tmp_path / "plugins/metric/plain.py").write_text(PLAIN)
    with pytest.raises(ConfigError, match="metric 'plain' cannot weigh rows"):
        Metric.open({"name": "any_part", "of": "plain", "class_weights": {"high": 2}}, tmp_path)
    assert Metric.open({"name": "any_part", "of": "plain"}, tmp_path).takes_labels("several")
