"""The report's scores of each part of an answer, beside scikit-learn's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, log_loss, root_mean_squared_error

from kit.data.table import Table
from kit.kinds import Metric
from kit.kinds.score_context import ScoreContext
from kit.kinds.several_target import SeveralTarget
from kit.stages.reporting.part_scores import evaluate_parts

ROWS = 40
NAMES = ("kind=a", "kind=b", "kind=c", "wet", "old", "height")
TARGET = SeveralTarget((("kind", 3), ("flags", 2), ("height", 1)), ("softmax", "sigmoid", "number"))


def draw() -> tuple[Table, np.ndarray]:
    """Rows of which some lack labels, and predictions that know a little of them."""
    rng = np.random.default_rng(0)
    kinds, flags = rng.integers(0, 3, ROWS), rng.integers(0, 2, (ROWS, 2)).astype(float)
    heights = rng.normal(10, 3, ROWS)
    shares = rng.dirichlet(np.ones(3), ROWS) + np.eye(3)[kinds]
    given = np.concatenate(
        [
            shares / shares.sum(axis=1, keepdims=True),
            rng.random((ROWS, 2)),
            (heights + rng.normal(size=ROWS))[:, None],
        ],
        axis=1,
    )
    labels = np.concatenate([np.eye(3)[kinds], flags, heights[:, None]], axis=1)
    labels[:3, :3], labels[3, 3], labels[4, 5] = 0, np.nan, np.nan
    ids = np.arange(ROWS).astype(str)
    return Table(ids, [Path(name) for name in ids], NAMES, labels, target=TARGET), given


def bound(**spec: object) -> Metric:
    return Metric.open(spec).with_known(context=ScoreContext(NAMES, target=TARGET))


def test_each_part_has_its_rows_score_and_confusion_matrix() -> None:
    table, given = draw()
    truth = table.targets()
    parts = {one.name: one for one in evaluate_parts(table, given, bound(name="parts"))}
    assert list(parts) == ["kind", "wet", "old", "height"]
    kind, true, said = parts["kind"], truth[3:, :3].argmax(axis=1), given[3:, :3].argmax(axis=1)
    assert kind.rows == ROWS - 3
    assert kind.scores == {"log_loss": pytest.approx(log_loss(true, given[3:, :3]))}
    assert kind.accuracy == pytest.approx(accuracy_score(true, said))
    assert np.array_equal(kind.confusion, confusion_matrix(true, said))
    assert [one.name for one in kind.classes] == ["a", "b", "c"]
    assert [one.f1 for one in kind.classes] == pytest.approx(f1_score(true, said, average=None))
    some = np.arange(ROWS) != 3
    wet, yes = parts["wet"], truth[some, 3]
    assert wet.scores == {"log_loss": pytest.approx(log_loss(yes, given[some, 3]))}
    assert np.array_equal(wet.confusion, confusion_matrix(yes, given[some, 3] >= 0.5))
    some = np.arange(ROWS) != 4
    height, error = parts["height"], root_mean_squared_error(truth[some, 5], given[some, 5])
    assert height.scores == {"rmse": pytest.approx(error)}
    assert height.column is not None
    assert height.column.rmse == pytest.approx(error)
    assert (height.accuracy, height.confusion, height.rows) == (None, (), ROWS - 1)


def test_scores_are_those_of_the_competitions_metric_of_parts_also_within_a_mean() -> None:
    table, given = draw()
    parts = {"name": "parts", "of": "log_loss", "pools": {"all": ["flags"]}, "weights": {"height": 0}}
    accurate = {"name": "parts", "of": {"name": "log_loss", "class_weights": {"a": 3}}}
    metric = bound(name="mean", of=[parts, {"name": "any_part", "classes": ["a"]}])
    scores = {one.name: one.scores for one in evaluate_parts(table, given, metric)}
    assert set(scores["kind"]) == {"log_loss"}
    assert set(scores["wet"]) == {"log_loss"}  # of a pool each column alone
    assert set(scores["height"]) == {"rmse"}  # also without a weight
    true = table.targets()[3:, :3].argmax(axis=1)
    expected = log_loss(true, given[3:, :3], sample_weight=np.where(true == 0, 3, 1))
    (kind, *_) = evaluate_parts(table, given, bound(**accurate))
    assert kind.scores == {"log_loss": pytest.approx(expected)}


def test_parts_without_labels_are_left_out_and_other_metrics_give_no_scores() -> None:
    table, given = draw()
    few = table.take(np.arange(3))
    parts = evaluate_parts(few, given[:3], bound(name="any_part", classes=["a"]))
    assert [one.name for one in parts] == ["wet", "old", "height"]
    assert all(one.scores == {} for one in parts)
