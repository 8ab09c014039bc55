"""Weights that are found: against greedy selection written again without haste, and the conditions of an optimum."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from kit.evaluation.competition import for_labels
from kit.kinds import Ensembler, Metric
from kit.kinds.metric_shortcuts import true_class_probability
from kit.kinds.targets import MULTI_HOT
from kit.plugins.ensembler.hill_climb import HillClimb
from kit.plugins.ensembler.simplex import Simplex, least_log_loss
from tests.drawn_members import drawn, softmax

LIBRARY = {  # costs, by scikit-learn
    "macro_f1": lambda truth, p: -metrics.f1_score(truth, p.argmax(1), average="macro", zero_division=0),
    "accuracy": lambda truth, p: -metrics.accuracy_score(truth, p.argmax(1)),
    "log_loss": lambda truth, p: metrics.log_loss(
        truth, p / p.sum(1, keepdims=True), labels=range(p.shape[1])
    ),
    "auc": lambda truth, p: -metrics.roc_auc_score(truth, p / p.sum(1, keepdims=True), multi_class="ovr"),
}


def selected(name: str, members: np.ndarray, truth: np.ndarray, rounds: int) -> list[float]:
    """Greedy selection as AutoGluon's EnsembleSelection does it: a running mean, ties to members already used, then
    the first; the shortest prefix with the best score."""
    order: list[int] = []
    costs: list[float] = []
    for _ in range(rounds):
        tried = np.array(
            [
                LIBRARY[name](
                    truth, np.mean([*(members[m].astype(float) for m in order), one.astype(float)], axis=0)
                )
                for one in members
            ]
        )
        equal = [int(m) for m in np.flatnonzero(tried <= tried.min() + 1e-9)]
        used = [m for m in equal if m in order]
        order.append((used or equal)[0])
        costs.append(tried.min())
    best = next(n for n, cost in enumerate(costs) if cost <= min(costs) + 1e-9)
    weights: list[float] = (np.bincount(order[: best + 1], minlength=len(members)) / (best + 1)).tolist()
    return weights


@given(seed=st.integers(0, 10**6), name=st.sampled_from(sorted(LIBRARY)), signal=st.floats(0.3, 4))
@settings(max_examples=40, deadline=None)
def test_hill_climb_is_greedy_selection(seed: int, name: str, signal: float) -> None:
    members, truth = drawn(seed, 4, 40, 3, signal)
    fitted = Ensembler.open({"name": "hill_climb", "metric": name, "rounds": 6}).fit(members, truth)
    assert fitted.spec()["weights"] == pytest.approx(selected(name, members, truth, 6))


def test_hill_climb_by_hand() -> None:
    # 0 is right on rows 0 1, 1 on row 2 by far, so 0 + 1 is right on all; a second 0 or 1 gains nothing
    sure, other = [0.9, 0.1], [0.1, 0.9]
    members = np.array([[sure, sure, [0.45, 0.55]], [[0.4, 0.6], [0.4, 0.6], sure], [other, other, other]])
    fitted = Ensembler.open({"name": "hill_climb", "metric": "accuracy"}).fit(members, np.zeros(3, dtype=int))
    assert fitted.spec()["weights"] == [0.5, 0.5, 0]


def test_equal_members_are_chosen_by_their_order_and_only_once() -> None:
    members, truth = drawn(members=1)
    for name in ("hill_climb", "single"):
        fitted = Ensembler.open({"name": name, "metric": "macro_f1"}).fit(members[[0, 0, 0]], truth)
        chosen = fitted.spec().get("weights", [1, 0, 0][fitted.spec().get("member", 0)])
        assert chosen in ([1, 0, 0], 1)


def test_bags_average_climbs_over_subsets() -> None:
    members, truth = drawn(members=6)
    spec = {"name": "hill_climb", "metric": "log_loss", "bags": 8, "bag_fraction": 0.5}
    fitted = Ensembler.open(spec).fit(members, truth)
    weights = np.array(fitted.spec()["weights"])
    assert weights.sum() == pytest.approx(1)
    assert (weights > 0).sum() > 3  # more than any one bag holds
    assert Ensembler.open(spec).fit(members, truth) == fitted
    assert Ensembler.open({**spec, "seed": 1}).fit(members, truth) != fitted


def test_a_bag_of_all_members_is_the_climb_itself() -> None:
    members, truth = drawn()
    plain = Ensembler.open({"name": "hill_climb"}).fit(members, truth).spec()["weights"]
    bagged = (
        Ensembler.open({"name": "hill_climb", "bags": 1, "bag_fraction": 1})
        .fit(members, truth)
        .spec()["weights"]
    )
    assert bagged == plain


@given(seed=st.integers(0, 10**6), members=st.integers(1, 6), signal=st.floats(0, 4))
@settings(max_examples=40, deadline=None)
def test_simplex_weights_fulfil_the_conditions_of_an_optimum(seed: int, members: int, signal: float) -> None:
    """Of a mean log of w @ shares: each gradient is 1 where the weight is above 0, and at most 1 elsewhere."""
    probabilities, truth = drawn(seed, members, 80, 3, signal)
    shares = np.stack([true_class_probability(truth, member) for member in probabilities])
    weights = least_log_loss(shares)
    assert weights.sum() == pytest.approx(1)
    gradient = (shares / (weights @ shares)).mean(axis=1)
    assert gradient.max() < 1 + 1e-3
    assert gradient[weights > 1e-3] == pytest.approx(1, abs=1e-3)


def test_simplex_puts_no_weight_on_noise() -> None:
    members, truth = drawn(members=3, rows=2000, signal=3)
    noise = softmax(3 * np.random.default_rng(5).normal(size=members.shape[1:])).astype(np.float32)
    weights = Ensembler.open("simplex").fit(np.concatenate([members, noise[None]]), truth).spec()["weights"]
    assert weights[3] == 0
    assert min(weights[:3]) > 0.2


@pytest.mark.parametrize("name", ["macro_f1", "accuracy", "log_loss"])
def test_a_search_for_the_metric_is_no_worse_than_where_it_starts(name: str) -> None:
    members, truth = drawn(members=4, rows=200)
    metric = Metric.open(name)
    start = Ensembler.open("simplex").fit(members, truth)
    recipe = Ensembler.open({"name": "simplex", "objective": "metric", "metric": name}).fit(members, truth)
    scores = [metric.score(truth, one.blend(members)) for one in (start, recipe)]
    ahead = scores[1] - scores[0] if metric.higher_is_better else scores[0] - scores[1]
    assert ahead > (0 if name != "log_loss" else -1e-6)
    assert sum(recipe.spec()["weights"]) == pytest.approx(1)
    assert min(recipe.spec()["weights"]) >= 0


def test_single_takes_the_best_member() -> None:
    members, truth = drawn(members=3, signal=0.5)
    strong = drawn(members=1, signal=4)[0]
    both = np.concatenate([members, strong])
    fitted = Ensembler.open({"name": "single", "metric": "macro_f1"}).fit(both, truth)
    assert fitted.spec()["member"] == 3
    assert np.allclose(fitted.blend(both), strong[0])


@pytest.mark.parametrize("name", ["hill_climb", "simplex", "single"])
def test_a_fitted_recipe_is_written_down_and_applied_again(name: str) -> None:
    members, truth = drawn()
    fitted = Ensembler.open({"name": name, "metric": "macro_f1"}).fit(members, truth)
    again = Ensembler.open(json.loads(json.dumps(fitted.spec())))
    assert again == fitted
    assert (again.blend(members) == fitted.blend(members)).all()
    assert fitted.spec()["metric"] == {"name": "macro_f1", "absent": "zero"}


# ------------------------------------------------------------------------------ several labels a row


def several(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Three members that know multi-hot truth by different parts, (3, N, 4), and the truth."""
    rng = np.random.default_rng(seed)
    truth = (rng.random((120, 4)) < 0.3).astype(np.int8)
    members = [known * truth + (1 - known) * rng.random((120, 4)) for known in (0.3, 0.5, 0.1)]
    return np.stack(members).astype(np.float32), truth


def test_simplex_finds_the_least_binary_cross_entropy_that_a_grid_finds() -> None:
    members, truth = several()
    weights = np.array(Simplex.open("simplex").fit(members, truth).weights)
    steps = np.linspace(0, 1, 41)
    grid = [(a, b, 1 - a - b) for a in steps for b in steps if a + b <= 1]
    score = Metric.open("log_loss").score
    best = min(score(truth, np.tensordot(each, members, axes=1)) for each in grid)
    loss_value = score(truth, np.tensordot(weights, members, axes=1))
    assert best - 1e-4 < loss_value <= best + 1e-9


def test_a_climb_over_several_labels_takes_the_best_next_mean_each_time() -> None:
    members, truth = several()
    members[0, :, :2], members[1, :, 2:] = (
        0.2,
        0.2,
    )  # each tells other classes, too low for one half when averaged
    members[[0, 1]] *= 1.4
    metric = Metric.open("macro_f1")
    chosen: list[int] = []
    for _ in range(6):
        scores = [metric.score(truth, members[[*chosen, m]].mean(axis=0, dtype=np.float64)) for m in range(3)]
        chosen.append(int(np.argmax(scores)))
    steps = [metric.score(truth, members[chosen[:n]].mean(axis=0, dtype=np.float64)) for n in range(1, 7)]
    kept = chosen[: int(np.argmax(steps)) + 1]
    assert len(set(kept)) > 1
    spec = {"name": "hill_climb", "metric": "macro_f1", "rounds": 6}
    fitted = for_labels(Ensembler.open(spec), target=MULTI_HOT).fit(members, truth)
    assert isinstance(fitted, HillClimb)
    np.testing.assert_allclose(fitted.weights, np.bincount(kept, minlength=3) / len(kept))
    np.testing.assert_allclose(fitted.blend(members), members[kept].mean(axis=0, dtype=np.float64), rtol=1e-6)


def test_single_takes_the_best_member_as_it_is() -> None:
    members, truth = several()
    fitted = for_labels(Ensembler.open("single"), target=MULTI_HOT).fit(members, truth)
    np.testing.assert_array_equal(fitted.blend(members), members[1])


def test_what_learns_of_rows_that_sum_to_one_is_for_one_label_a_row() -> None:
    for name in ("temperature", "class_factors", "prior_correction", "prior_matching", "stacking", "vote"):
        assert not Ensembler.open(name).takes_labels("multi_hot"), name
    assert not Ensembler.open({"name": "temperature", "base": "mean"}).takes_labels("multi_hot")
