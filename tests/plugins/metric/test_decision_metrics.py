"""Metrics of decisions: F scores, precision, recall, balanced accuracy, kappa and MCC, against scikit-learn."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from sklearn import metrics

from kit.errors import ConfigError
from kit.evaluation import bootstrap
from kit.evaluation.hill_climbing import Climb, climb
from kit.kinds import Metric
from kit.kinds.decision import Decision
from kit.kinds.score_context import ScoreContext
from kit.kinds.targets import MULTI_HOT

GRADES = ScoreContext(("0", "1", "2", "3", "4"))
THEIRS = {
    "f1": metrics.f1_score,
    "fbeta": metrics.fbeta_score,
    "precision": metrics.precision_score,
    "recall": metrics.recall_score,
}


def opened(name: str, context: ScoreContext = GRADES, **options: Any) -> Metric:
    return Metric.open({"name": name, **options}).with_known(context=context)


def numbers() -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Random rows, a class without rows, a class never predicted, constant predictions, ties, one class only."""
    rng = np.random.default_rng(7)
    truth, shares = rng.integers(0, 5, 120), rng.dirichlet(np.ones(5), 120)
    yield truth, shares
    yield np.where(truth == 3, 1, truth), shares
    yield truth, shares * [1, 1, 0, 1, 1]
    yield truth, np.eye(5)[np.full(120, 2)]
    yield truth, np.round(shares, 1)
    yield np.full(120, 4), shares


def several() -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Random rows of which some have no label, a class without rows, one never predicted, nothing predicted."""
    rng = np.random.default_rng(8)
    truth, shares = (rng.random((90, 5)) < 0.3).astype(np.int8), rng.random((90, 5))
    yield truth, shares
    yield truth * np.array([1, 1, 0, 1, 1], np.int8), shares
    yield truth, shares * [1, 1, 1, 0, 1]
    yield truth, shares * 0.4


def arguments(name: str, options: dict[str, Any]) -> dict[str, Any]:
    return {**options, **({"beta": 2} if name == "fbeta" else {})}


@pytest.mark.parametrize("average", ["macro", "micro", "weighted"])
@pytest.mark.parametrize("name", THEIRS)
def test_averages_of_one_label_per_row_are_scikit_learns(name: str, average: str) -> None:
    for truth, shares in numbers():
        said = shares.argmax(axis=1)
        theirs = THEIRS[name](truth, said, **arguments(name, {"average": average, "zero_division": 0}))
        assert opened(name, average=average).score(truth, shares) == pytest.approx(theirs)
        if average != "micro":
            theirs = THEIRS[name](
                truth, said, **arguments(name, {"average": average, "zero_division": np.nan})
            )
            skipping = opened(name, average=average, absent="skip")
            assert skipping.score(truth, shares) == pytest.approx(np.nan_to_num(theirs))


@pytest.mark.parametrize("average", ["macro", "micro", "weighted"])
@pytest.mark.parametrize("name", THEIRS)
def test_averages_of_several_labels_per_row_are_scikit_learns(name: str, average: str) -> None:
    for truth, shares in several():
        theirs = THEIRS[name](
            truth, shares >= 0.5, **arguments(name, {"average": average, "zero_division": 0})
        )
        assert opened(name, average=average).score(truth, shares) == pytest.approx(theirs)
        theirs = THEIRS[name](
            truth, shares >= 0.5, **arguments(name, {"average": average, "zero_division": np.nan})
        )
        skipping = opened(name, average=average, absent="skip")
        assert skipping.score(truth, shares) == pytest.approx(np.nan_to_num(theirs))


@pytest.mark.parametrize("name", THEIRS)
def test_the_mean_over_rows_is_scikit_learns_and_rows_that_are_rightly_empty_count_one(name: str) -> None:
    for truth, shares in several():
        said = shares >= 0.5
        empty = ~truth.any(axis=1) & ~said.any(axis=1)
        theirs = THEIRS[name](
            truth[~empty], said[~empty], **arguments(name, {"average": "samples", "zero_division": 0})
        )
        expected = (theirs * (~empty).sum() + empty.sum()) / len(truth)
        assert opened(name, average="samples").score(truth, shares) == pytest.approx(expected)


def test_f1_is_macro_f1_and_samples_f1_which_keep_their_names() -> None:
    for truth, shares in numbers():
        assert opened("f1").score(truth, shares) == pytest.approx(
            Metric.open("macro_f1").score(truth, shares)
        )
    for truth, shares in several():
        assert opened("f1").score(truth, shares) == pytest.approx(
            Metric.open("macro_f1").score(truth, shares)
        )
        ours = opened("fbeta", average="samples", beta=2).score(truth, shares)
        assert ours == pytest.approx(Metric.open({"name": "samples_f1", "beta": 2}).score(truth, shares))


@pytest.mark.parametrize("name", THEIRS)
def test_one_class_alone_is_scikit_learns_binary_average(name: str) -> None:
    rng = np.random.default_rng(9)
    truth, shares = rng.integers(0, 2, 50), rng.dirichlet([1, 1], 50)
    theirs = THEIRS[name](truth, shares.argmax(axis=1), **arguments(name, {}))
    pair = ScoreContext(("cat", "dog"))
    assert opened(name, pair, average="binary").score(truth, shares) == pytest.approx(theirs)
    cats = THEIRS[name](truth, shares.argmax(axis=1), **arguments(name, {"pos_label": 0}))
    of_cats = opened(name, pair, average="binary", positive="cat")
    assert of_cats.score(truth, shares) == pytest.approx(cats)


def test_f1_by_hand() -> None:
    # true a a b, predicted a b b: a has 1 hit of 1 and 2, b 1 hit of 2 and 1, so both have F1 2/3
    truth, shares = np.array([0, 0, 1]), np.eye(2)[[0, 1, 1]]
    assert opened("f1").score(truth, shares) == pytest.approx(2 / 3)
    # F2 of a: 5 / (4 * 2 + 1), of b: 5 / (4 * 1 + 2)
    assert opened("fbeta").score(truth, shares) == pytest.approx((5 / 9 + 5 / 6) / 2)


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
def test_balanced_accuracy_is_scikit_learns() -> None:
    for truth, shares in numbers():
        theirs = metrics.balanced_accuracy_score(truth, shares.argmax(axis=1))
        assert opened("balanced_accuracy").score(truth, shares) == pytest.approx(theirs)
    constant = np.eye(5)[np.zeros(50, int)]
    assert opened("balanced_accuracy").score(np.arange(50) % 5, constant) == pytest.approx(1 / 5)


@pytest.mark.parametrize("weights", ["none", "linear", "quadratic"])
def test_cohen_kappa_is_scikit_learns(weights: str) -> None:
    for truth, shares in numbers():
        said = shares.argmax(axis=1)
        weighting = None if weights == "none" else weights
        theirs = metrics.cohen_kappa_score(said, truth, weights=weighting, labels=range(5))
        assert opened("cohen_kappa", weights=weights).score(truth, shares) == pytest.approx(theirs)


def test_quadratic_kappa_by_hand() -> None:
    # true 0 0 2, predicted 0 1 2: observed 1; expected (2 * 1 * 1 + 2 * 4 * 1 + 1 * 4 * 1 + 1 * 1 * 1) / 3 = 5
    truth, shares = np.array([0, 0, 2]), np.eye(3)[[0, 1, 2]]
    kappa = opened("cohen_kappa", ScoreContext(("0", "1", "2")), weights="quadratic")
    assert kappa.score(truth, shares) == pytest.approx(1 - 1 / 5)
    # all rows and predictions of one class leave no room for disagreement; scikit-learn has NaN
    assert kappa.score(np.zeros(4, int), np.eye(3)[np.zeros(4, int)]) == 1
    assert kappa.score(truth, np.eye(3)[np.zeros(3, int)]) == 0


def test_grades_rank_by_number_or_as_listed() -> None:
    rng = np.random.default_rng(10)
    truth, shares = rng.integers(0, 3, 80), rng.dirichlet(np.ones(3), 80)
    said = shares.argmax(axis=1)
    rank = np.array([2, 0, 1])  # of the classes 10, 2 and 9, and of severe, none and mild
    theirs = metrics.cohen_kappa_score(rank[truth], rank[said], weights="quadratic")
    by_number = opened("cohen_kappa", ScoreContext(("10", "2", "9")), weights="quadratic")
    assert by_number.score(truth, shares) == pytest.approx(theirs)
    listed = opened(
        "cohen_kappa",
        ScoreContext(("severe", "no", "mild")),
        weights="quadratic",
        order=("no", "mild", "severe"),
    )
    assert listed.score(truth, shares) == pytest.approx(theirs)


def test_mcc_is_scikit_learns() -> None:
    for truth, shares in numbers():
        theirs = metrics.matthews_corrcoef(truth, shares.argmax(axis=1))
        assert opened("mcc").score(truth, shares) == pytest.approx(theirs)


@pytest.mark.parametrize("name", ["mcc", "cohen_kappa"])
def test_several_labels_are_yes_or_no_for_each_row_and_class(name: str) -> None:
    theirs = {"mcc": metrics.matthews_corrcoef, "cohen_kappa": metrics.cohen_kappa_score}[name]
    for truth, shares in several():
        rule = Decision(0.4, 1)
        said = rule.assign_labels(shares)
        ours = opened(name).with_known(decision=rule).score(truth, shares)
        assert ours == pytest.approx(theirs(truth.ravel(), said.ravel()))


@pytest.mark.parametrize(
    "spec",
    [
        {"name": "f1"},
        {"name": "fbeta", "average": "weighted"},
        {"name": "precision", "average": "micro"},
        {"name": "recall", "average": "samples"},
        {"name": "f1", "average": "binary", "positive": "3"},
        {"name": "balanced_accuracy"},
        {"name": "cohen_kappa", "weights": "quadratic"},
        {"name": "mcc"},
    ],
    ids=lambda spec: f"{spec['name']} {spec.get('average', '')}".strip(),
)
def test_climbing_and_the_bootstrap_have_the_scores_of_the_plain_way(spec: dict[str, Any]) -> None:
    rng = np.random.default_rng(11)
    truth = rng.integers(0, 5, 60)
    members = rng.dirichlet(np.ones(5), (3, 60)).astype(np.float32)
    metric = opened(**spec)
    quick, plain = climb(metric, members, truth), Climb(metric, members, truth)
    for step in (0, 2, 1):
        assert quick.costs() == pytest.approx(plain.costs())
        quick.add(step)
        plain.add(step)
    drawn = bootstrap.resample_scores(metric, truth, [members[0]])[:3, 0]
    weights = list(bootstrap._weights(np.arange(60), 3, 0, None))
    rows = [np.repeat(np.arange(60), each) for each in weights]
    assert drawn == pytest.approx([metric.score(truth[each], members[0][each]) for each in rows])


# ------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("spec", "context", "said"),
    [
        ({"name": "f1", "average": "binary"}, GRADES, "needs two classes or metric.positive"),
        (
            {"name": "f1", "average": "binary", "positive": "dgo"},
            ScoreContext(("cat", "dog")),
            "no class is named 'dgo'; did you mean 'dog'?",
        ),
        (
            {"name": "cohen_kappa", "weights": "quadratic"},
            ScoreContext(("mild", "none")),
            "needs an order of the grades, and 'mild' is not a number",
        ),
        (
            {"name": "cohen_kappa", "weights": "linear", "order": ("0", "1")},
            GRADES,
            "must list each class once; it has 2 names for 5 classes",
        ),
        (
            {"name": "cohen_kappa", "weights": "linear"},
            ScoreContext(("0", "1"), target=MULTI_HOT),
            "rows may have several labels",
        ),
    ],
)
def test_options_that_do_not_fit_the_classes_are_refused(
    spec: dict[str, Any], context: ScoreContext, said: str
) -> None:
    with pytest.raises(ConfigError, match="C47") as caught:
        opened(spec.pop("name"), context, **spec).check_context()
    assert said in caught.value.summary
    assert caught.value.hint
