"""Temperature, thresholds, prior and stacking: against scipy, scikit-learn, and numbers by hand."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize_scalar, root
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, log_loss

from kit.errors import ConfigError
from kit.kinds import Ensembler
from kit.plugins.ensembler._stacked import log_probability_features
from kit.plugins.ensembler.temperature import best_temperature
from tests.drawn_members import drawn, softmax


def fitted(spec: dict[str, Any], members: np.ndarray, truth: np.ndarray) -> Ensembler:
    return Ensembler.open(spec).fit(members, truth)


@pytest.mark.parametrize("scale", [0.3, 1, 2])
def test_the_temperature_is_what_scipy_finds(scale: float) -> None:
    (member,), truth = drawn(members=1, rows=500, shared=0)
    logits = np.log(member.astype(float)) * scale

    def cost(temperature: float) -> float:
        return float(-log_softmax(logits / temperature, axis=1)[np.arange(len(truth)), truth].mean())

    expected = minimize_scalar(cost, bounds=(0.05, 20), method="bounded", options={"xatol": 1e-9}).x
    assert best_temperature(softmax(logits), truth) == pytest.approx(expected, rel=1e-3)


def test_the_temperature_undoes_a_confidence_that_was_put_on() -> None:
    rng = np.random.default_rng(1)
    logits = 2 * rng.normal(size=(20_000, 4))
    truth = np.array([rng.choice(4, p=row) for row in softmax(logits[:4000])])
    assert best_temperature(softmax(3 * logits[:4000]), truth) == pytest.approx(3, rel=0.1)


def test_a_member_that_is_always_right_or_knows_nothing_has_a_finite_temperature() -> None:
    truth = np.arange(20) % 2
    sure, blank = np.eye(2)[truth] * 0.8 + 0.1, np.full((20, 2), 0.5)
    assert best_temperature(sure, truth) == pytest.approx(0.05)
    assert 0.05 <= best_temperature(blank, truth) <= 20


def test_members_are_calibrated_before_the_base_blends_them() -> None:
    members, truth = drawn(members=2, signal=1, shared=0.3)
    loud = softmax(2 * np.log(members[1].astype(float))).astype(np.float32)
    recipe = fitted({"name": "temperature", "base": "geometric"}, np.stack([members[0], loud]), truth)
    one, two = recipe.spec()["temperatures"]
    assert two == pytest.approx(2 * best_temperature(members[1], truth), rel=0.02)
    logs = (np.log(members[0].astype(float)) / one + np.log(loud.astype(float)) / two) / 2
    assert np.allclose(recipe.blend(np.stack([members[0], loud])), softmax(logs), atol=1e-5)


def test_the_base_is_fitted_on_calibrated_members() -> None:
    members, truth = drawn(members=3)
    recipe = fitted(
        {"name": "temperature", "base": {"name": "hill_climb", "metric": "log_loss"}}, members, truth
    )
    assert sum(recipe.spec()["base"]["weights"]) == pytest.approx(1)


def test_thresholds_by_hand() -> None:
    # class 1 has .4 on its own rows and .2 elsewhere: a factor above 1.5 and below 4 tells them all
    shares = np.array([[0.6, 0.4]] * 2 + [[0.8, 0.2]] * 6)
    truth = np.array([1, 1, 0, 0, 0, 0, 0, 0])
    recipe = fitted({"name": "class_factors", "metric": "macro_f1"}, shares[None], truth)
    assert (recipe.blend(shares[None]).argmax(axis=1) == truth).all()
    first, second = recipe.spec()["factors"]
    assert 1.5 < second / first < 4
    assert np.allclose(
        recipe.blend(shares[None])[0], np.array([0.6 * first, 0.4 * second]) / (0.6 * first + 0.4 * second)
    )


def test_thresholds_of_two_classes_are_the_best_of_all_factors_tried() -> None:
    members, truth = drawn(members=2, classes=2, rows=200, signal=0.8)
    truth = np.where(np.random.default_rng(0).random(200) < 0.6, 0, truth)
    mean = members.mean(axis=0, dtype=float)
    recipe = fitted({"name": "class_factors", "metric": "macro_f1"}, members, truth)
    grid = np.geomspace(1 / 4, 4, 17)
    tried = [f1_score(truth, (mean * [1, factor]).argmax(1), average="macro") for factor in grid]
    assert f1_score(truth, recipe.blend(members).argmax(1), average="macro") >= max(tried) - 1e-12


def test_thresholds_where_nothing_helps_leave_the_blend_alone() -> None:
    truth = np.arange(12) % 3
    shares = (np.eye(3)[truth] * 0.7 + 0.1)[None]
    recipe = fitted({"name": "class_factors", "metric": "macro_f1"}, shares, truth)
    assert recipe.spec()["factors"] == [1, 1, 1]


def test_thresholds_of_a_metric_of_probabilities_go_the_general_way() -> None:
    members, truth = drawn(members=2, classes=3)
    skewed = members * [1, 1, 4]
    skewed /= skewed.sum(axis=2, keepdims=True)
    recipe = fitted({"name": "class_factors", "metric": "log_loss"}, skewed, truth)
    mean = skewed.mean(axis=0)
    assert log_loss(truth, recipe.blend(skewed)) < log_loss(truth, mean) - 0.05


def test_the_prior_by_hand() -> None:
    # 3 and 1 rows, one more each: shares 4/6 and 2/6; tau 1 divides by them
    members = np.array([[[0.6, 0.4]] * 4])
    recipe = fitted({"name": "prior_correction", "tau": 1}, members, np.array([0, 0, 0, 1]))
    assert recipe.spec()["shares"] == pytest.approx([4 / 6, 2 / 6])
    assert recipe.blend(members)[0] == pytest.approx([0.9 / 2.1, 1.2 / 2.1])


def test_the_power_of_the_prior_is_the_one_that_scores_best() -> None:
    rng = np.random.default_rng(0)
    truth = rng.choice(3, 600, p=[0.8, 0.15, 0.05])
    members = softmax(2 * np.eye(3)[truth] + 1.5 * rng.normal(size=(600, 3)) + np.log([0.8, 0.15, 0.05]))[
        None
    ]
    recipe = fitted({"name": "prior_correction", "metric": "macro_f1"}, members, truth)
    counts = np.bincount(truth) + 1
    scores = {
        round(tau, 1): f1_score(
            truth, (members[0] * (counts / counts.sum()) ** -tau).argmax(1), average="macro"
        )
        for tau in np.linspace(0, 1.5, 16)
    }
    assert scores[round(recipe.spec()["tau"], 1)] == max(scores.values())
    assert max(scores.values()) > scores[0.0]


def test_matched_probabilities_have_the_labels_shares_by_another_solver() -> None:
    rng = np.random.default_rng(0)
    truth = rng.choice(3, 400, p=[0.5, 0.3, 0.2])
    members = softmax(np.eye(3)[truth] + rng.normal(size=(400, 3)) + [0.0, 0.0, 2.0])[None]
    blended = fitted({"name": "prior_matching"}, members, truth).blend(members)
    shares = (np.bincount(truth) + 1) / 403
    assert blended.mean(axis=0) == pytest.approx(shares, abs=1e-6)

    def excess(logs: np.ndarray) -> np.ndarray:
        weighed = members[0] * np.exp([*logs, 0.0])
        means: np.ndarray = (weighed / weighed.sum(axis=1, keepdims=True)).mean(axis=0)
        return means[:2] - shares[:2]

    factors = np.exp([*root(excess, np.zeros(2)).x, 0.0])
    wanted = members[0] * factors / (members[0] * factors).sum(axis=1, keepdims=True)
    assert np.allclose(blended, wanted, atol=1e-5)
    assert (blended.argmax(1) == truth).mean() > (members[0].argmax(1) == truth).mean()


def test_few_rows_and_a_class_without_probability_are_not_matched() -> None:
    members, truth = np.tile([[0.9, 0.1, 0.0]], (1, 30, 1)), np.arange(30) % 3
    recipe = fitted({"name": "prior_matching", "max_factor": 2}, members, truth)
    assert np.allclose(recipe.blend(members[:, :14]), members[0, :14])
    # by hand: shares 1/3, so the first class gets the least factor and the second the largest
    assert recipe.blend(members)[0] == pytest.approx([0.45 / 0.65, 0.2 / 0.65, 0.0])


@pytest.mark.parametrize("classes", [2, 4])
def test_stacking_is_scikit_learns_regression_without_scikit_learn(classes: int) -> None:
    members, truth = drawn(members=3, classes=classes)
    recipe = fitted({"name": "stacking", "inverse_l2": 0.3}, members, truth)
    again = Ensembler.open(json.loads(json.dumps(recipe.spec())))
    library = LogisticRegression(C=0.3, tol=1e-3, max_iter=2000).fit(log_probability_features(members), truth)
    assert np.allclose(
        again.blend(members), library.predict_proba(log_probability_features(members)), atol=1e-9
    )


def test_features_are_centred_logs_member_by_member() -> None:
    members = np.array([[[0.5, 0.5]], [[0.8, 0.2]]])
    half = np.log(0.8 / 0.2) / 2
    assert log_probability_features(members)[0] == pytest.approx([0, 0, half, -half])


def test_a_class_without_rows_keeps_the_members_mean() -> None:
    members, truth = drawn(members=2, classes=4)
    seen = truth != 2
    blended = fitted({"name": "stacking"}, members[:, seen], truth[seen]).blend(members)
    assert np.allclose(blended[:, 2], members.mean(axis=0)[:, 2], atol=1e-6)
    assert np.allclose(blended.sum(axis=1), 1)


def test_one_class_alone_leaves_nothing_to_learn() -> None:
    members, _ = drawn(members=2)
    recipe = fitted({"name": "stacking"}, members, np.ones(members.shape[1], dtype=int))
    assert np.allclose(recipe.blend(members), members.mean(axis=0), atol=1e-6)


@pytest.mark.parametrize("name", ["temperature", "stacking", "single", "hill_climb"])
def test_a_fitted_recipe_refuses_another_number_of_members(name: str) -> None:
    members, truth = drawn(members=4)
    recipe = fitted({"name": name}, members[::-1], truth)
    with pytest.raises(ConfigError, match="C21"):
        recipe.blend(members[: 0 if name == "single" else 2])


@pytest.mark.parametrize("name", ["class_factors", "prior_correction", "prior_matching"])
def test_factors_are_of_one_class_list(name: str) -> None:
    members, truth = drawn(classes=3)
    options: dict[str, dict[str, Any]] = {
        "class_factors": {"metric": "macro_f1"},
        "prior_correction": {"metric": "macro_f1", "tau": 1},
    }
    recipe = fitted({"name": name, **options.get(name, {})}, members, truth)
    with pytest.raises(ConfigError, match="3 factors for 4 classes"):
        recipe.blend(drawn(classes=4)[0])


@pytest.mark.parametrize(
    "name", ["temperature", "class_factors", "prior_correction", "prior_matching", "stacking"]
)
def test_a_fitted_recipe_is_written_down_and_applied_again(name: str) -> None:
    members, truth = drawn(members=3)
    spec = (
        {"name": name} if name == "stacking" else {"name": name, "base": {"name": "hill_climb", "rounds": 3}}
    )
    recipe = fitted(spec, members, truth)
    again = Ensembler.open(json.loads(json.dumps(recipe.spec())))
    assert again == recipe
    assert (again.blend(members) == recipe.blend(members)).all()
