"""The competition's metric, decision and aggregator: who receives them, and the scores that come of them."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, log_loss

from kit.config.workspace import Workspace
from kit.data.predictions import Predictions
from kit.data.table import Table, read_labelled_rows
from kit.errors import ConfigError, DataError, KitWarning
from kit.evaluation.competition import (
    Scoring,
    bind_classes,
    bind_rows,
    for_labels,
    for_metric,
    gain_over_plain,
    open_aggregator,
    open_ensembler,
    read_columns,
    with_scores,
)
from kit.kinds import Aggregator, Ensembler, Metric
from kit.kinds.decision import Decision
from kit.kinds.levels import Level
from kit.kinds.score_context import ScoreContext, Wanted
from kit.kinds.targets import MULTI_HOT, NUMBERS, ONE_CLASS
from tests.written_runs import competition

CLASSES = ("no", "yes")
TRUTH = np.array([0, 1, 1, 0, 1, 0])
IDS = np.array(list("abcdef"))
FOLDS = np.array([0, 0, 0, 1, 1, 1])
RIGHT = np.array([0.9, 0.8, 0.7, 0.6, 0.6, 0.9])  # the probability of the true class


def table(**columns: object) -> Table:
    return replace(Table(IDS, [Path(name) for name in IDS], CLASSES, TRUTH), **columns)  # type: ignore[arg-type]


def predictions(of_truth: np.ndarray = RIGHT, rows: slice | np.ndarray = slice(None)) -> Predictions:
    positive = np.where(TRUTH == 1, of_truth, 1 - of_truth)
    shares = np.stack([1 - positive, positive], axis=1).astype(np.float32)
    return Predictions(IDS, FOLDS, CLASSES, shares).take(rows)


def scoring(metric: object = "log_loss") -> Scoring:
    return Scoring(Metric.open(metric), Aggregator.open("mean"))


# the metric of recipes


def test_an_empty_metric_is_the_competitions_and_a_given_one_stays() -> None:
    metric = Metric.open("auc")
    spec = for_metric(Ensembler.open("hill_climb"), metric).spec()
    assert spec["metric"] == {"name": "auc"}
    spec = for_metric(Ensembler.open({"name": "hill_climb", "metric": "accuracy"}), metric).spec()
    assert spec["metric"] == {"name": "accuracy"}


def test_nested_recipes_get_it_too() -> None:
    recipe = Ensembler.open({"name": "class_factors", "base": {"name": "temperature", "base": "hill_climb"}})
    spec = for_metric(recipe, Metric.open("macro_f1")).spec()
    assert spec["metric"] == spec["base"]["base"]["metric"] == {"name": "macro_f1", "absent": "zero"}
    recipe = Ensembler.open({"name": "auto", "candidates": ["mean", "hill_climb"]})
    mean, hill_climb = for_metric(recipe, Metric.open("auc")).spec()["candidates"]
    assert "metric" not in mean
    assert hill_climb["metric"] == {"name": "auc"}


def test_a_recipe_without_a_metric_is_left_as_it_is() -> None:
    recipe = Ensembler.open("mean")
    assert for_metric(recipe, Metric.open("auc")) is recipe


def test_the_decision_rule_is_the_default_one_or_the_one_given() -> None:
    recipe = Ensembler.open("mean")
    assert for_labels(recipe, ONE_CLASS).decision == Decision()
    assert for_labels(recipe, MULTI_HOT, Decision(0.3, 1)).decision == Decision(0.3, 1)


def test_an_ensembler_and_an_aggregator_must_take_the_labels(tmp_path: Path) -> None:
    workspace = competition(tmp_path, aggregator="noisy_or")
    rows = read_labelled_rows(workspace.root, workspace.competition.data)
    with pytest.raises(ConfigError, match=r"C17 .*ensembler 'linear' does not support"):
        open_ensembler(workspace, "linear", rows)
    numbers = replace(rows, target=NUMBERS, answers=rows.groups)
    with pytest.raises(ConfigError, match=r"C17 .*aggregator 'noisy_or' does not support"):
        open_aggregator(workspace, numbers, Metric.open("accuracy"))
    assert open_aggregator(workspace, replace(numbers, answers=None), Metric.open("accuracy"))


@pytest.mark.parametrize("base", [{}, {"name": "temperature"}])
def test_a_rule_for_related_rows_is_outermost(base: dict[str, object], tmp_path: Path) -> None:
    workspace = competition(tmp_path)
    rows = read_labelled_rows(workspace.root, workspace.competition.data)
    rule = {"name": "assignment", "group": ["person"]}
    recipe, _ = open_ensembler(workspace, {**rule, "base": "mean"}, rows)
    assert recipe.row_columns() == ("person",)
    nested = {"name": "class_factors", "base": {**base, "base": rule} if base else rule}
    outer = base.get("name", "class_factors")
    text = f"C81 ensembler 'assignment' acts on final rows, so it cannot be part of '{outer}'"
    with pytest.raises(ConfigError, match=text):
        open_ensembler(workspace, nested, rows)


# what metrics and recipes know of rows


class Wants(Metric):
    """Knows what `wants` names."""

    wants: ClassVar[tuple[Wanted, ...]] = ()

    def score(self, truth: np.ndarray, probabilities: np.ndarray) -> float:
        return 0.0


class WantsIds(Wants):
    wants = ("ids",)


class WantsGroups(Wants):
    wants = ("groups",)


class WantsWeights(Wants):
    wants = ("weights",)


class WantsSuperclasses(Wants):
    wants = ("superclasses",)


class WantsLevels(Wants):
    wants = ("levels",)


@pytest.mark.parametrize(
    ("metric", "columns", "key"),
    [
        (WantsSuperclasses, {"class_groups": ("x", "y")}, "data.superclasses=COLUMN"),
        (WantsLevels, {"class_levels": (Level("genus", ("x", "x")),)}, "data.parents=COLUMN"),
    ],
)
def test_a_metric_that_wants_superclasses_or_parents_needs_them_in_the_config(
    metric: type[Wants], columns: dict[str, object], key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metric, "plugin_name", classmethod(lambda cls: "wants"))
    workspace = competition(tmp_path)
    assert bind_classes(metric(), workspace, table(**columns), Decision()).context.classes == CLASSES
    with pytest.raises(ConfigError, match="C47 metric 'wants' needs") as caught:
        bind_classes(metric(), workspace, table(), Decision())
    assert caught.value.hint == key


@pytest.mark.parametrize(
    ("metric", "field"), [(WantsIds, "ids"), (WantsGroups, "groups"), (WantsWeights, "weights")]
)
def test_a_metric_knows_what_it_wants_of_its_rows_and_nothing_else(metric: type[Wants], field: str) -> None:
    rows = table(groups=np.array(list("xxyyzz")), weights=np.arange(6.0))
    context = bind_rows(metric(), rows).context
    for name in ("ids", "groups", "weights"):
        values = getattr(context, name)
        assert (values is None) == (name != field)
        assert values is None or values.tolist() == getattr(rows, name).tolist()


def test_a_rule_for_related_rows_reads_their_columns() -> None:
    rows = table(frame=pd.DataFrame({"id": IDS, "plate": list("112233")}))
    recipe = bind_rows(Ensembler.open({"name": "assignment", "group": ["plate"]}), rows)
    context = recipe.context  # type: ignore[attr-defined]
    assert context.columns["plate"].tolist() == list("112233")
    assert context.ids is None


def test_a_column_that_the_table_lacks_is_named_with_those_it_has() -> None:
    rows = table(frame=pd.DataFrame({"id": IDS, "plate": list("112233")}))
    with pytest.raises(
        ConfigError, match="C07 .*'plaet', and the test table has none of this name"
    ) as caught:
        read_columns(rows, ("plaet",), "test")
    assert "did you mean 'plate'?" in caught.value.summary
    assert caught.value.hint == "its columns: id, plate"
    with pytest.raises(ConfigError, match="C07") as caught:
        read_columns(table(), ("plate",), "training")
    assert caught.value.hint == "data.test=FILE, with this column"


def test_weights_that_differ_within_an_answer_are_refused_if_the_metric_uses_them(tmp_path: Path) -> None:
    weighted = {"name": "row_weighted", "of": "accuracy"}
    workspace = competition(tmp_path, metric=weighted)
    rows = read_labelled_rows(workspace.root, workspace.competition.data)
    rows = replace(rows, answers=rows.ids, weights=np.ones(len(rows)))
    assert Scoring.of(workspace, rows).metric.plugin_name() == "row_weighted"
    pairs = rows.take([0, 3])  # of one class
    pairs = replace(pairs, answers=np.array(["x", "x"]), weights=np.array([1.0, 2.0]))
    with pytest.raises(DataError, match="D89 .*different weights"):
        Scoring.of(workspace, pairs)
    plain = Workspace.find(tmp_path, ["metric=accuracy"])
    assert Scoring.of(plain, pairs).metric.plugin_name() == "accuracy"


# scores and gains


def test_the_metric_is_bound_to_the_scored_rows() -> None:
    metric, rows, shares = Scoring(WantsIds(), Aggregator.open("mean")).bind(
        predictions(rows=np.array([4, 1])), table()
    )
    assert metric.context.ids is not None
    assert metric.context.ids.tolist() == rows.ids.tolist() == ["e", "b"]
    assert shares[:, 1] == pytest.approx([0.6, 0.8])


def test_a_fold_without_a_score_is_named_with_the_reason() -> None:
    rows = table(labels=np.array([0, 1, 1, 1, 1, 1]))
    auc = Metric.open("auc").with_known(context=ScoreContext(CLASSES))
    with pytest.warns(KitWarning) as caught:
        scored = with_scores(predictions(), Scoring(auc, Aggregator.open("mean")), rows)
    (text,) = [str(warning.message) for warning in caught]
    assert text.startswith("W90 fold 1 has no auc: ")
    by_fold = scored.provenance.require_fold_scores()
    assert ["auc" in by_fold[fold] for fold in ("0", "1")] == [True, False]
    with pytest.warns(KitWarning) as caught:
        with_scores(
            predictions(), Scoring(auc, Aggregator.open("mean")), table(labels=np.array([0, 0, 0, 1, 1, 1]))
        )
    assert [str(warning.message)[:10] for warning in caught] == ["W90 fold 0", "W90 fold 1"]


@pytest.mark.parametrize("rows", [slice(None), slice(0)])
def test_folds_with_a_score_and_tables_without_rows_raise_no_warning(rows: slice) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scored = with_scores(predictions(rows=rows), scoring(), table())
    assert scored.provenance.require_scores().get("log_loss") == (
        pytest.approx(log_loss(TRUTH, predictions().probabilities[:, 1])) if rows == slice(None) else None
    )


def test_the_gain_over_plain_views_is_the_difference_of_the_scores(tmp_path: Path) -> None:
    plain = predictions(np.array([0.9, 0.4, 0.7, 0.6, 0.6, 0.8]))
    plain.write(tmp_path / "oof.parquet")
    scores, gain = gain_over_plain(tmp_path / "oof.parquet", predictions(), scoring(), table())
    before, now = (log_loss(TRUTH, each.probabilities[:, 1].astype(float)) for each in (plain, predictions()))
    assert scores["log_loss"] == pytest.approx(before, abs=1e-6)
    assert scores["accuracy"] == pytest.approx(accuracy_score(TRUTH, plain.probabilities.argmax(axis=1)))
    assert gain is not None
    assert gain.value == pytest.approx(before - now, abs=1e-6)  # a lower loss is a gain
    assert gain.over == "plain"


def test_the_gain_is_on_the_rows_with_views(tmp_path: Path) -> None:
    predictions(np.array([0.9, 0.4, 0.7, 0.6, 0.6, 0.8])).write(tmp_path / "oof.parquet")
    views = predictions(rows=np.array([5, 1]))
    scores, gain = gain_over_plain(tmp_path / "oof.parquet", views, scoring(), table())
    assert scores["log_loss"] == pytest.approx(-np.log([0.8, 0.4]).mean(), abs=1e-6)
    assert gain is not None
    assert gain.value == pytest.approx(np.log([0.9, 0.8]).mean() - np.log([0.8, 0.4]).mean(), abs=1e-6)


def test_without_plain_predictions_of_all_rows_there_is_no_gain(tmp_path: Path) -> None:
    file = tmp_path / "oof.parquet"
    assert gain_over_plain(file, predictions(), scoring(), table()) == ({}, None)
    assert gain_over_plain(file, predictions(rows=slice(3)), scoring(), table()) == ({}, None)  # of fold 0
    predictions(rows=slice(5)).write(file)
    assert gain_over_plain(file, predictions(), scoring(), table()) == ({}, None)


def test_equal_predictions_and_rows_without_a_score_have_no_gain(tmp_path: Path) -> None:
    file = tmp_path / "oof.parquet"
    predictions().write(file)
    scores, gain = gain_over_plain(file, predictions(), scoring(), table())
    assert "log_loss" in scores
    assert gain is None
    auc = Metric.open("auc").with_known(context=ScoreContext(CLASSES))
    views = predictions(RIGHT - 0.01)
    one_class = table(labels=np.ones(6, dtype=int))
    scores, gain = gain_over_plain(file, views, Scoring(auc, Aggregator.open("mean")), one_class)
    assert "auc" not in scores
    assert "accuracy" in scores
    assert gain is None
