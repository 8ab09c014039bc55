"""Metrics of probabilities and rankings equal the graders' formulas, written out here, and scikit-learn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from scipy.special import rel_entr
from sklearn import metrics

from kit.errors import ConfigError, InvalidError
from kit.evaluation import bootstrap
from kit.evaluation.hill_climbing import Climb, climb
from kit.kinds import Metric
from kit.kinds.metric_shortcuts import scores_true_class
from kit.kinds.score_context import ScoreContext
from kit.kinds.targets import MULTI_HOT

PAIR = ScoreContext(("no", "yes"))
ANIMALS = ScoreContext(("ant", "bee", "cow", "dog"))
COLUMNS = ScoreContext(("any", "left", "right"), target=MULTI_HOT)


def opened(name: str, context: ScoreContext = ANIMALS, **options: Any) -> Metric:
    return Metric.open({"name": name, **options}).with_known(context=context)


def two_classes() -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows of two classes and the second's probabilities: random, tied, constant, perfect, wrong, one positive row."""
    rng = np.random.default_rng(1)
    truth, shares = rng.integers(0, 2, 150), rng.random(150)
    yield truth, shares
    yield truth, np.round(shares, 1)
    yield truth, np.full(150, 0.3)
    yield truth, truth.astype(float)
    yield truth, 1.0 - truth
    yield (np.arange(150) == 40).astype(int), shares
    yield (rng.random(150) < shares).astype(int), shares


def both(shares: np.ndarray) -> np.ndarray:
    return np.stack([1 - shares, shares], axis=1)


def four_classes(rows: int = 120) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(2)
    return rng.integers(0, 4, rows), rng.dirichlet(np.ones(4), rows)


def several(rows: int = 80) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    return (rng.random((rows, 3)) < 0.35).astype(np.int8), rng.random((rows, 3))


# ------------------------------------------------------------------------------------------------ curves


def isic_partial_auc(truth: np.ndarray, shares: np.ndarray, min_tpr: float) -> float:
    """The grader of ISIC 2024: labels and scores turned around, the area up to a false positive rate, not rescaled."""
    limit = 1 - min_tpr
    fpr, tpr, _ = metrics.roc_curve(1 - truth, 1 - shares)
    if limit == 1:
        return float(metrics.auc(fpr, tpr))
    stop = np.searchsorted(fpr, limit, "right")
    at_limit = np.interp(limit, [fpr[stop - 1], fpr[stop]], [tpr[stop - 1], tpr[stop]])
    return float(metrics.auc([*fpr[:stop], limit], [*tpr[:stop], at_limit]))


@pytest.mark.parametrize("min_tpr", [0.0, 0.5, 0.8, 0.88])
def test_partial_auc_is_the_graders_area(min_tpr: float) -> None:
    metric = opened("partial_auc", PAIR, min_tpr=min_tpr)
    assert metric.limits == (0, 1 - min_tpr)
    for truth, shares in two_classes():
        theirs = isic_partial_auc(truth, shares, min_tpr)
        assert metric.score(truth, both(shares)) == pytest.approx(theirs, abs=1e-12)


def test_partial_auc_by_hand() -> None:
    # from the top: yes, no, yes, yes, no. From a true positive rate of 1/3 on, the false positive rate is 1/2
    truth, shares = np.array([1, 0, 1, 1, 0]), np.array([0.9, 0.8, 0.7, 0.6, 0.5])
    assert opened("partial_auc", PAIR).score(truth, both(shares)) == pytest.approx(0.2 * 0.5)
    # McClish's, which scikit-learn has, is another number
    assert opened("partial_auc", PAIR).score(truth, both(np.full(5, 0.5))) == pytest.approx(0.2**2 / 2)


def alaska_weighted_auc(truth: np.ndarray, shares: np.ndarray) -> float:
    """The area right of the curve in each band, on a fine grid of true positive rates that has the band's edges."""
    fpr, tpr, _ = metrics.roc_curve(truth, shares, drop_intermediate=False)
    grid = np.unique(np.concatenate([tpr, [0.4]]))
    area = {"low": 0.0, "high": 0.0}
    for low, high in pairwise(grid):
        # within a segment between two points of the curve the false positive rate is linear
        after = int(np.searchsorted(tpr, high, "left"))
        before = after - 1
        slope = (fpr[after] - fpr[before]) / (tpr[after] - tpr[before])
        mean = fpr[before] + slope * ((low + high) / 2 - tpr[before])
        area["low" if high <= 0.4 else "high"] += (high - low) * (1 - mean)
    return (2 * area["low"] + area["high"]) / (2 * 0.4 + 0.6)


def test_weighted_auc_is_the_graders_area() -> None:
    for truth, shares in two_classes():
        theirs = alaska_weighted_auc(truth, shares)
        assert opened("weighted_auc", PAIR).score(truth, both(shares)) == pytest.approx(theirs)
    constant = both(np.full(4, 0.5))
    assert opened("weighted_auc", PAIR).score(np.array([0, 0, 1, 1]), constant) == pytest.approx(0.82 / 1.4)


def test_bands_of_equal_weight_are_the_auc() -> None:
    equal = opened("weighted_auc", PAIR, edges=(0.2, 0.7), weights=(1, 1, 1))
    for truth, shares in two_classes():
        theirs = metrics.roc_auc_score(truth, shares)
        assert equal.score(truth, both(shares)) == pytest.approx(theirs)
        whole = opened("partial_auc", PAIR, min_tpr=0)
        assert whole.score(truth, both(shares)) == pytest.approx(theirs)


@pytest.mark.parametrize("name", ["partial_auc", "weighted_auc"])
def test_positive_classes_count_together_and_without_them_classes_in_turn(name: str) -> None:
    truth, shares = four_classes()
    together = opened(name, positive=("bee", "dog"))
    of_two = opened(name, PAIR).score(np.isin(truth, [1, 3]).astype(int), both(shares[:, [1, 3]].sum(axis=1)))
    assert together.score(truth, shares) == pytest.approx(of_two)
    each = [opened(name, PAIR).score((truth == k).astype(int), both(shares[:, k])) for k in range(4)]
    assert opened(name).score(truth, shares) == pytest.approx(np.mean(each))


@pytest.mark.parametrize("name", ["partial_auc", "weighted_auc"])
def test_a_curve_of_one_class_is_an_error(name: str) -> None:
    with pytest.raises(InvalidError, match="D45"):
        opened(name, PAIR).score(np.ones(4, int), both(np.full(4, 0.5)))
    with pytest.raises(InvalidError, match="D45"):
        opened(name, positive=("ant",)).score(np.ones(4, int), np.full((4, 4), 0.25))


def rsna_pf1(truth: np.ndarray, shares: np.ndarray, beta: float) -> float:
    hits, false = shares[truth == 1].sum(), shares[truth == 0].sum()
    if not hits:
        return 0.0
    precision, recall = hits / (hits + false), hits / (truth == 1).sum()
    return float((1 + beta**2) * precision * recall / (beta**2 * precision + recall))


@pytest.mark.parametrize("beta", [0.5, 1, 2])
def test_probabilistic_f1_is_the_graders(beta: float) -> None:
    metric = opened("probabilistic_f1", PAIR, beta=beta)
    for truth, shares in two_classes():
        assert metric.score(truth, both(shares)) == pytest.approx(rsna_pf1(truth, shares, beta))
    assert metric.score(np.zeros(3, int), both(np.full(3, 0.5))) == 0
    truth, shares = four_classes()
    of_cow = opened("probabilistic_f1", positive="cow", beta=beta)
    assert of_cow.score(truth, shares) == pytest.approx(
        rsna_pf1((truth == 2).astype(int), shares[:, 2], beta)
    )


# ---------------------------------------------------------------------------------------------- log loss


def test_log_loss_with_class_weights_is_scikit_learns_sample_weight() -> None:
    truth, shares = four_classes()
    weights = {"bee": 2.0, "dog": 4.0}
    by_row = np.array([1, 2, 1, 4])[truth]
    theirs = metrics.log_loss(truth, shares, sample_weight=by_row)
    assert opened("log_loss", class_weights=weights).score(truth, shares) == pytest.approx(theirs)
    theirs = metrics.log_loss(truth, shares, sample_weight=1 / np.bincount(truth)[truth])
    assert opened("log_loss", class_weights="equal").score(truth, shares) == pytest.approx(theirs)


def test_log_loss_of_weighted_columns_is_the_average_of_their_losses() -> None:
    truth, shares = several()
    by_column = [metrics.log_loss(truth[:, k], shares[:, k], labels=[0, 1]) for k in range(3)]
    ours = opened("log_loss", COLUMNS, class_weights={"any": 2}).score(truth, shares)
    assert ours == pytest.approx(np.average(by_column, weights=[2, 1, 1]))


def test_log_loss_with_a_positive_weight_is_the_graders() -> None:
    truth, shares = several()
    loss = -(truth * np.log(shares) + (1 - truth) * np.log(1 - shares))
    weights = truth * np.array([14, 2, 2]) + (1 - truth) * np.array([7, 1, 1])
    theirs = ((loss * weights).sum(axis=1) / weights.sum(axis=1)).mean()
    ours = opened("log_loss", COLUMNS, class_weights={"any": 7}, positive_weight=2)
    assert ours.score(truth, shares) == pytest.approx(theirs)


def test_a_weighted_log_loss_has_no_shortcut_of_the_true_class() -> None:
    assert scores_true_class(opened("log_loss"))
    assert not scores_true_class(opened("log_loss", class_weights={"bee": 2}))
    with pytest.raises(InvalidError, match="D45"):
        opened("log_loss", class_weights={"bee": 0}).score(np.ones(3, int), np.full((3, 4), 0.25))


# ---------------------------------------------------------------------------------------------- rankings


def landmark_gap(truth: list[int | None], said: np.ndarray, confidence: np.ndarray) -> float:
    """The grader of Landmark Recognition 2020, for confidences that all differ."""
    hits, total = 0, 0.0
    for place, row in enumerate(np.argsort(-confidence), 1):
        if truth[row] == said[row]:
            hits += 1
            total += hits / place
    return total / sum(one is not None for one in truth)


def test_gap_is_the_graders() -> None:
    truth, shares = four_classes()
    said, confidence = shares.argmax(axis=1), shares.max(axis=1)
    assert opened("gap").score(truth, shares) == pytest.approx(landmark_gap(truth.tolist(), said, confidence))
    landmarks = [None if number == 3 else number for number in truth.tolist()]
    theirs = landmark_gap(landmarks, said, confidence)
    assert opened("gap", without="dog").score(truth, shares) == pytest.approx(theirs)


def test_gap_by_hand_and_of_equal_confidences() -> None:
    shares = np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]])
    # in order of confidence: right, wrong, right
    assert opened("gap", PAIR).score(np.array([0, 0, 0]), shares) == pytest.approx((1 + 2 / 3) / 3)
    equal = np.array([[0.6, 0.4], [0.4, 0.6]])
    assert opened("gap", PAIR).score(np.array([0, 0]), equal) == pytest.approx(0.5 / 2)
    with pytest.raises(InvalidError, match="D45"):
        opened("gap", PAIR, without="no").score(np.array([0, 0]), equal)


def test_gap_of_all_predictions_is_the_micro_average_precision() -> None:
    truth, shares = several()
    theirs = metrics.average_precision_score(truth, shares, average="micro")
    assert opened("gap", COLUMNS, k=3).score(truth, shares) == pytest.approx(theirs)


@pytest.mark.parametrize("k", [1, 2, 4, 9])
def test_top_k_accuracy_and_recall_at_k_are_scikit_learns(k: int) -> None:
    truth, shares = four_classes()
    theirs = metrics.top_k_accuracy_score(truth, shares, k=k, labels=range(4)) if k < 4 else 1.0
    assert opened("top_k_accuracy", k=k).score(truth, shares) == pytest.approx(theirs)
    assert opened("recall_at_k", k=k).score(truth, shares) == pytest.approx(theirs)
    best = np.argsort(-shares, axis=1)[:, :k]
    right = (best == truth[:, None]).any(axis=1)
    by_class = np.mean([right[truth == number].mean() for number in range(4)])
    assert opened("recall_at_k", k=k, average="classes").score(truth, shares) == pytest.approx(by_class)


def test_ranks_of_equal_probabilities_are_in_the_order_of_classes() -> None:
    flat = np.full((4, 4), 0.25)
    assert opened("top_k_accuracy", k=2).score(np.arange(4), flat) == 0.5


def test_recall_at_k_of_several_labels_is_a_mean_over_rows_with_labels() -> None:
    truth = np.array([[1, 1, 0], [0, 0, 1], [0, 0, 0]], np.int8)
    shares = np.array([[0.9, 0.1, 0.5], [0.1, 0.2, 0.9], [0.5, 0.5, 0.5]])
    assert opened("recall_at_k", COLUMNS, k=1).score(truth, shares) == pytest.approx((1 / 2 + 1) / 2)
    assert opened("recall_at_k", COLUMNS, k=1, average="classes").score(truth, shares) == pytest.approx(2 / 3)
    with pytest.raises(InvalidError, match="D45"):
        opened("recall_at_k", COLUMNS).score(truth[2:], shares[2:])


# ------------------------------------------------------------------------------------ values and shares


def test_kl_divergence_is_scipys() -> None:
    rng = np.random.default_rng(4)
    votes, shares = rng.integers(0, 5, (60, 4)) + np.eye(4, dtype=int)[0], rng.dirichlet(np.ones(4), 60)
    true = votes / votes.sum(axis=1, keepdims=True)
    theirs = rel_entr(true, shares).sum(axis=1).mean()
    assert opened("kl_divergence").score(votes, shares) == pytest.approx(theirs)
    assert opened("kl_divergence").score(true, true) == pytest.approx(0, abs=1e-12)
    truth, shares = four_classes()
    assert opened("kl_divergence").score(truth, shares) == pytest.approx(metrics.log_loss(truth, shares))


VALUES: dict[str, Callable[..., Any]] = {
    "rmse": metrics.root_mean_squared_error,
    "mae": metrics.mean_absolute_error,
    "r2": metrics.r2_score,
}


@pytest.mark.parametrize("name", VALUES)
def test_errors_of_values_are_scikit_learns(name: str) -> None:
    rng = np.random.default_rng(5)
    true, given = rng.normal(3, 2, (50, 3)), rng.normal(3, 2, (50, 3))
    context, weights = ScoreContext(("a", "b", "c")), {"b": 2.0, "c": 0.5}
    assert opened(name, context).score(true, given) == pytest.approx(VALUES[name](true, given))
    theirs = VALUES[name](true, given, multioutput=[1, 2, 0.5])
    assert opened(name, context, column_weights=weights).score(true, given) == pytest.approx(theirs)
    theirs = VALUES[name](true.ravel(), given.ravel(), sample_weight=np.tile([1, 2, 0.5], 50))
    pooled = opened(name, context, average="pooled", column_weights=weights)
    assert pooled.score(true, given) == pytest.approx(theirs)
    numbers, shares = four_classes()
    assert opened(name).score(numbers, shares) == pytest.approx(VALUES[name](np.eye(4)[numbers], shares))


def test_r2_of_equal_values_is_one_if_they_are_predicted_and_else_zero() -> None:
    true = np.full((4, 2), 0.1)
    given = np.stack([true[:, 0], true[:, 0] + 1], axis=1)
    assert opened("r2", ScoreContext(("a", "b"))).score(true, given) == pytest.approx((1 + 0) / 2)


# ------------------------------------------------------------------------- shortcuts against the plain way


@pytest.mark.parametrize(
    "spec",
    [
        {"name": "partial_auc", "positive": ("ant",)},
        {"name": "weighted_auc"},
        {"name": "probabilistic_f1"},
        {"name": "log_loss", "class_weights": {"bee": 3}},
        {"name": "log_loss", "class_weights": "equal"},
        {"name": "gap"},
        {"name": "top_k_accuracy", "k": 2},
        {"name": "recall_at_k", "k": 2, "average": "classes"},
        {"name": "kl_divergence"},
        {"name": "rmse"},
        {"name": "mae", "average": "pooled"},
        {"name": "r2"},
        {"name": "sklearn", "function": "jaccard_score", "options": {"average": "macro"}},
        {"name": "mean", "of": ("f1", "accuracy"), "weights": (1, 3)},
        {"name": "mean", "of": ("auc", "top_k_accuracy")},
        {"name": "cost_matrix"},
    ],
    ids=lambda spec: " ".join(str(value) for value in spec.values()),
)
def test_climbing_and_the_bootstrap_have_the_scores_of_the_plain_way(spec: dict[str, Any]) -> None:
    truth, first = four_classes(60)
    members = np.stack([first, first[::-1], np.full_like(first, 0.25)]).astype(np.float32)
    metric = opened(**spec)
    quick, plain = climb(metric, members, truth), Climb(metric, members, truth)
    for step in (0, 1):
        assert quick.costs() == pytest.approx(plain.costs())
        quick.add(step)
        plain.add(step)
    drawn = bootstrap.resample_scores(metric, truth, [members[0]])[:3, 0]
    rows = [np.repeat(np.arange(60), each) for each in bootstrap._weights(np.arange(60), 3, 0, None)]
    assert drawn == pytest.approx([metric.score(truth[each], members[0][each]) for each in rows])


# ------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("spec", "context", "said"),
    [
        ({"name": "partial_auc", "positive": ("yse",)}, PAIR, "did you mean 'yes'?"),
        ({"name": "weighted_auc", "positive": ("any",)}, COLUMNS, "needs one label per row"),
        ({"name": "probabilistic_f1", "positive": "any"}, COLUMNS, "needs one label per row"),
        (
            {"name": "log_loss", "class_weights": {"be": 2}},
            ANIMALS,
            "no class is named 'be'; did you mean 'bee'?",
        ),
        ({"name": "log_loss", "class_weights": {"no": 0, "yes": 0}}, PAIR, "all 0"),
        ({"name": "log_loss", "class_weights": "equal"}, COLUMNS, "needs one label per row"),
        ({"name": "log_loss", "positive_weight": 2}, PAIR, "needs several labels per row"),
        ({"name": "gap", "without": "cat"}, ANIMALS, "no class is named 'cat'"),
        ({"name": "rmse", "column_weights": {"x": 1}}, ANIMALS, "no class is named 'x'"),
        ({"name": "r2", "column_weights": {"no": -1}}, PAIR, "0 or more"),
    ],
)
def test_options_that_do_not_fit_the_classes_are_refused(
    spec: dict[str, Any], context: ScoreContext, said: str
) -> None:
    with pytest.raises(ConfigError, match="C47") as caught:
        opened(spec.pop("name"), context, **spec).check_context()
    assert said in caught.value.summary


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"edges": (0.7, 0.2), "weights": (1, 1, 1)}, "edges must ascend"),
        ({"edges": (0.4,), "weights": (1,)}, "1 edges make 2 bands, not 1"),
        ({"weights": (0, 0)}, "not all 0"),
    ],
)
def test_bands_that_do_not_fit_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match="C02") as caught:
        opened("weighted_auc", **options)
    assert said in str(caught.value)
