"""Metrics of other metrics and of files: sklearn, mean, row_weighted and cost_matrix."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn import metrics

from kit.errors import ConfigError, InvalidError
from kit.kinds import Metric
from kit.kinds.decision import Decision
from kit.kinds.score_context import ScoreContext
from kit.kinds.targets import MULTI_HOT

PAIR = ScoreContext(("no", "yes"))
ANIMALS = ScoreContext(("ant", "bee", "cow"))
COLUMNS = ScoreContext(("any", "left", "right"), target=MULTI_HOT)


def opened(name: str, context: ScoreContext = ANIMALS, home: Path | None = None, **options: Any) -> Metric:
    return Metric.open({"name": name, **options}).with_known(context=context, home=home)


def numbers(classes: int = 3, rows: int = 90) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(classes)
    return rng.integers(0, classes, rows), rng.dirichlet(np.ones(classes), rows)


def several() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(6)
    return (rng.random((70, 3)) < 0.4).astype(np.int8), rng.random((70, 3))


# ----------------------------------------------------------------------------------------- scikit-learn


def test_functions_of_labels_probabilities_and_indicators_receive_what_they_take() -> None:
    truth, shares = numbers()
    said, hot = shares.argmax(axis=1), np.eye(3)[truth]
    expected = {
        "zero_one_loss": metrics.zero_one_loss(truth, said),
        "cohen_kappa_score": metrics.cohen_kappa_score(truth, said),
        "log_loss": metrics.log_loss(truth, shares),
        "label_ranking_loss": metrics.label_ranking_loss(hot, shares),
        "ndcg_score": metrics.ndcg_score(hot, shares),
        "mean_squared_error": metrics.mean_squared_error(hot, shares),
    }
    for function, value in expected.items():
        assert opened("sklearn", function=function).score(truth, shares) == pytest.approx(value), function
    truth, shares = several()
    expected = {
        "hamming_loss": metrics.hamming_loss(truth, shares >= 0.5),
        "coverage_error": metrics.coverage_error(truth, shares),
        "roc_auc_score": metrics.roc_auc_score(truth, shares),
    }
    for function, value in expected.items():
        assert opened("sklearn", COLUMNS, function=function).score(truth, shares) == pytest.approx(value)
    truth, shares = numbers(2)
    theirs = metrics.brier_score_loss(truth, shares[:, 1])
    assert opened("sklearn", PAIR, function="brier_score_loss").score(truth, shares) == pytest.approx(theirs)


def test_options_and_names_of_classes_reach_scikit_learn() -> None:
    truth, shares = numbers()
    options = {"labels": ["cow", "ant"], "average": "macro"}
    theirs = metrics.jaccard_score(truth, shares.argmax(axis=1), labels=[2, 0], average="macro")
    assert opened("sklearn", function="jaccard_score", options=options).score(truth, shares) == pytest.approx(
        theirs
    )
    truth, shares = numbers(2)
    theirs = metrics.jaccard_score(truth, shares.argmax(axis=1), pos_label=0)
    of_no = opened("sklearn", PAIR, function="jaccard_score", options={"pos_label": "no"})
    assert of_no.score(truth, shares) == pytest.approx(theirs)


def test_scorers_keep_their_sign_and_functions_are_better_as_their_names_say() -> None:
    truth, shares = numbers(2)
    theirs = -metrics.brier_score_loss(truth, shares[:, 1])
    scorer = opened("sklearn", PAIR, function="neg_brier_score")
    assert scorer.score(truth, shares) == pytest.approx(theirs)
    better = {
        name: opened("sklearn", function=name).higher_is_better
        for name in ("neg_brier_score", "zero_one_loss", "jaccard_score", "max_error", "roc_auc_ovr")
    }
    assert better == {
        "neg_brier_score": True,
        "zero_one_loss": False,
        "jaccard_score": True,
        "max_error": False,
        "roc_auc_ovr": True,
    }
    assert opened("sklearn", function="hamming_loss", complement=True).higher_is_better


def test_rows_without_a_class_are_no_error_for_functions_of_probabilities() -> None:
    truth, shares = numbers()
    truth = np.where(truth == 2, 0, truth)
    assert opened("sklearn", function="log_loss").score(truth, shares) == pytest.approx(
        metrics.log_loss(truth, shares, labels=[0, 1, 2])
    )
    with pytest.raises(InvalidError, match="D45"):
        opened("sklearn", PAIR, function="roc_auc_score").score(np.zeros(3, int), np.full((3, 2), 0.5))


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        ({"function": "jacard_score"}, "C07", "did you mean 'jaccard_score'?"),
        ({"function": "confusion_matrix"}, "C07", "no function or scorer 'confusion_matrix'"),
        ({"function": "v_measure_score"}, "C07", "no function or scorer 'v_measure_score'"),
        ({"function": "f1_score", "options": {"avg": "macro"}}, "C02", "no option 'avg'"),
    ],
)
def test_an_unknown_function_or_option_is_refused_when_the_config_is_read(
    options: dict[str, Any], code: str, said: str
) -> None:
    with pytest.raises(ConfigError, match=code) as caught:
        opened("sklearn", **options)
    assert said in caught.value.summary
    assert caught.value.hint


@pytest.mark.parametrize(
    ("options", "context", "said"),
    [
        ({"function": "roc_auc_score"}, ANIMALS, "multi_class must be in"),
        ({"function": "f1_score"}, ANIMALS, "Target is multiclass"),
        ({"function": "fbeta_score"}, PAIR, "beta"),
        ({"function": "cohen_kappa_score"}, COLUMNS, "several labels per row of 3 classes"),
        ({"function": "jaccard_score", "options": {"pos_label": "maybe"}}, PAIR, "no class is named 'maybe'"),
    ],
)
def test_options_that_scikit_learn_refuses_are_found_before_training(
    options: dict[str, Any], context: ScoreContext, said: str
) -> None:
    with pytest.raises(ConfigError, match="C47") as caught:
        opened("sklearn", context, **options).check_context()
    assert said in caught.value.summary


def test_options_that_fit_pass_the_check() -> None:
    for function, context in (
        ("accuracy_score", ANIMALS),
        ("hamming_loss", COLUMNS),
        ("roc_auc_score", PAIR),
    ):
        opened("sklearn", context, function=function).check_context()
    many = ScoreContext(tuple(map(str, range(20_000))))
    opened("sklearn", many, function="accuracy_score").check_context()


# ------------------------------------------------------------------------------------------------- mean


def test_odirs_mean_of_kappa_f1_and_auc() -> None:
    truth, shares = several()
    said = shares >= 0.5
    theirs = np.mean(
        [
            metrics.cohen_kappa_score(truth.ravel(), said.ravel()),
            metrics.f1_score(truth.ravel(), said.ravel(), average="micro"),
            metrics.roc_auc_score(truth.ravel(), shares.ravel()),
        ]
    )
    # the micro F1 of one yes or no per cell is the share of right cells
    parts = (
        "cohen_kappa",
        {"name": "sklearn", "function": "hamming_loss", "complement": True},
        {"name": "sklearn", "function": "roc_auc_score", "options": {"average": "micro"}},
    )
    assert opened("mean", COLUMNS, of=parts).score(truth, shares) == pytest.approx(theirs)


def test_half_of_one_column_and_half_of_the_others() -> None:
    truth, shares = several()
    by_column = [metrics.roc_auc_score(truth[:, k], shares[:, k]) for k in range(3)]
    metric = opened("mean", COLUMNS, of=("auc", "auc"), columns=(("any",), ("left", "right")))
    metric.check_context()
    assert metric.score(truth, shares) == pytest.approx(np.average(by_column, weights=[2, 1, 1]))


def test_a_metric_of_some_columns_knows_their_names_alone() -> None:
    truth, shares = several()
    weighted = {"name": "log_loss", "class_weights": {"right": 3}}
    metric = opened(
        "mean", COLUMNS, of=(weighted, "log_loss"), columns=(("left", "right"), ()), weights=(3, 1)
    )
    by_column = [metrics.log_loss(truth[:, k], shares[:, k], labels=[0, 1]) for k in range(3)]
    theirs = (3 * np.average(by_column[1:], weights=[1, 3]) + np.mean(by_column)) / 4
    assert metric.score(truth, shares) == pytest.approx(theirs)
    assert metric.higher_is_better is False


def test_limits_of_a_mean_are_the_mean_of_limits() -> None:
    assert opened("mean", of=("mcc", "accuracy"), weights=(1, 3)).limits == (-0.25, 1)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"of": ()}, "of must name one metric or more"),
        ({"of": ("auc",), "weights": (1, 2)}, "weights has 2 entries for 1 metrics"),
        ({"of": ("auc", "log_loss")}, "lower is better for log_loss"),
        ({"of": ("auc", "accuracy"), "weights": (0, 0)}, "not all 0"),
    ],
)
def test_parts_that_do_not_fit_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match="C02") as caught:
        opened("mean", **options)
    assert said in str(caught.value)


def test_columns_that_do_not_fit_are_refused_before_training() -> None:
    with pytest.raises(ConfigError, match="did you mean 'left'"):
        opened("mean", COLUMNS, of=("auc",), columns=(("lefd",),)).check_context()
    with pytest.raises(ConfigError, match="needs several labels per row"):
        opened("mean", ANIMALS, of=("auc",), columns=(("ant",),)).check_context()
    with pytest.raises(ConfigError, match="no class is named 'any'"):
        inner = {"name": "log_loss", "class_weights": {"any": 3}}
        opened("mean", COLUMNS, of=(inner,), columns=(("left",),)).check_context()


# ------------------------------------------------------------------------------------------ row weights


@pytest.mark.parametrize("name", ["accuracy", "log_loss", "f1", "auc", "rmse"])
def test_weighted_rows_are_scikit_learns_sample_weight(name: str) -> None:
    truth, shares = numbers(2)
    weights = np.where(np.arange(len(truth)) % 3, 0.7, 0.3)
    said = shares.argmax(axis=1)
    theirs: dict[str, float] = {
        "accuracy": metrics.accuracy_score(truth, said, sample_weight=weights),
        "log_loss": metrics.log_loss(truth, shares, sample_weight=weights),
        "f1": metrics.f1_score(truth, said, average="macro", sample_weight=weights),
        "auc": metrics.roc_auc_score(truth, shares[:, 1], sample_weight=weights),
        "rmse": metrics.root_mean_squared_error(np.eye(2)[truth], shares, sample_weight=weights),
    }
    context = ScoreContext(("no", "yes"), weights=weights)
    metric = opened("row_weighted", context, of=name)
    assert metric.score(truth, shares) == pytest.approx(theirs[name])
    assert metric.higher_is_better is (name not in ("log_loss", "rmse"))
    half = np.arange(len(truth)) < 40
    of_half = metric.take_rows(half)
    with_weights = np.where(half, 1, 0)
    assert of_half.score(truth[half], shares[half]) == pytest.approx(
        metric.score_by_weights(truth, shares)(with_weights)  # type: ignore[attr-defined]
    )


def test_rows_that_all_weigh_nothing_have_no_score() -> None:
    context = ScoreContext(("no", "yes"), weights=np.zeros(90))
    with pytest.raises(InvalidError, match="D45"):
        opened("row_weighted", context).score(*numbers(2))


# ------------------------------------------------------------------------------------------ cost matrix

TISSUENET = "class,0,1,2,3\n0,0,0.1,0.7,1\n1,0.1,0,0.3,0.7\n2,0.7,0.3,0,0.3\n3,1,0.7,0.3,0\n"


def test_tissuenet_is_one_minus_the_mean_cost(tmp_path: Path) -> None:
    (tmp_path / "costs.csv").write_text(TISSUENET)
    truth, shares = numbers(4)
    costs = np.array([[0, 0.1, 0.7, 1], [0.1, 0, 0.3, 0.7], [0.7, 0.3, 0, 0.3], [1, 0.7, 0.3, 0]])
    grades = ScoreContext(("0", "1", "2", "3"))
    metric = opened("cost_matrix", grades, tmp_path, file="costs.csv", complement=True)
    metric.check_context()
    theirs = 1 - costs[truth, shares.argmax(axis=1)].mean()
    assert metric.score(truth, shares) == pytest.approx(theirs)
    assert metric.higher_is_better
    assert metric.limits[1] == 1


def test_names_of_the_file_are_joined_to_classes_in_any_order(tmp_path: Path) -> None:
    (tmp_path / "wide.csv").write_text("true,cow,ant,bee\nbee,6,5,0\nant,3,0,2\ncow,0,8,7\n")
    pairs = [("bee", "cow", 6), ("bee", "ant", 5), ("bee", "bee", 0), ("ant", "cow", 3), ("ant", "ant", 0)]
    pairs += [("ant", "bee", 2), ("cow", "cow", 0), ("cow", "ant", 8), ("cow", "bee", 7)]
    lines = [f"{true},{answer},{cost}" for true, answer, cost in pairs]
    (tmp_path / "long.csv").write_text("\n".join(["true,predicted,cost", *lines]) + "\n")
    truth, shares = numbers()
    costs = np.array([[0, 2, 3], [5, 0, 6], [8, 7, 0]])
    for file in ("wide.csv", "long.csv"):
        metric = opened("cost_matrix", ANIMALS, tmp_path, file=file)
        assert metric.score(truth, shares) == pytest.approx(costs[truth, shares.argmax(axis=1)].mean())
        total = opened("cost_matrix", ANIMALS, tmp_path, file=file, over="total")
        assert total.score(truth, shares) == pytest.approx(costs[truth, shares.argmax(axis=1)].sum())


def test_snakeclefs_costs_are_of_pairs_of_groups(tmp_path: Path) -> None:
    (tmp_path / "costs.csv").write_text("true,harmless,venomous\nharmless,1,2\nvenomous,5,2\n")
    groups = ("harmless", "venomous", "harmless", "venomous")
    context = ScoreContext(("a", "b", "c", "d"), superclasses=groups)
    truth, shares = numbers(4)
    said, venomous = shares.argmax(axis=1), np.array([False, True, False, True])
    wrong = truth != said
    theirs = sum(
        weight * (wrong & (venomous[truth] == true) & (venomous[said] == answer)).sum()
        for true, answer, weight in ((False, False, 1), (False, True, 2), (True, False, 5), (True, True, 2))
    )
    metric = opened("cost_matrix", context, tmp_path, file="costs.csv", by="superclasses", over="total")
    metric.check_context()
    assert metric.score(truth, shares) == theirs
    assert metric.wants == ("classes", "superclasses")
    # the share of harmless rows that are predicted as venomous: only harmless rows can cost anything
    (tmp_path / "hv.csv").write_text("true,harmless,venomous\nharmless,0,1\nvenomous,0,0\n")
    share = opened("cost_matrix", context, tmp_path, file="hv.csv", by="superclasses", over="costly")
    assert share.score(truth, shares) == pytest.approx(venomous[said][~venomous[truth]].mean())


def test_without_a_file_it_is_the_share_of_wrong_rows() -> None:
    truth, shares = numbers()
    theirs = metrics.zero_one_loss(truth, shares.argmax(axis=1))
    assert opened("cost_matrix").score(truth, shares) == pytest.approx(theirs)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("true,ant,bee\nant,0,1\nbee,1,0\n", "no cost for 5 of 9 pairs"),
        ("true,predicted,cost\nant,bee,1\n", "no cost for 8 of 9 pairs"),
        (
            "true,ant,bee,cov\nant,0,1,1\nbee,1,0,1\ncow,1,1,0\n",
            "'cov' is not a name of the table; did you mean 'cow'?",
        ),
        ("true,ant,bee,cow\nant,0,1,x\nbee,1,0,-1\ncow,1,1,0\n", "2 cells are no cost"),
        ("true,ant,bee,cow\nant,0,1,1\nant,0,1,1\nbee,1,0,1\ncow,1,1,0\n", "lists 3 pairs twice"),
    ],
)
def test_a_file_that_does_not_list_each_pair_once_is_refused(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "costs.csv").write_text(text)
    with pytest.raises(ConfigError, match="C47") as caught:
        opened("cost_matrix", ANIMALS, tmp_path, file="costs.csv").check_context()
    assert said in caught.value.summary


def test_the_decision_rule_reaches_nested_metrics() -> None:
    truth, shares = several()
    rule = Decision(0.3, 1)
    metric = opened("mean", COLUMNS, of=("f1",)).with_known(decision=rule)
    theirs = metrics.f1_score(truth, rule.assign_labels(shares), average="macro", zero_division=0)
    assert metric.score(truth, shares) == pytest.approx(theirs)
