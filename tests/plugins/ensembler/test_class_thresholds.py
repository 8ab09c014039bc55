"""Cut-offs: thresholds that an exhaustive search finds, and probabilities moved by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from kit.errors import ConfigError
from kit.evaluation.competition import for_labels
from kit.kinds import Ensembler, Metric
from kit.kinds.decision import Decision
from kit.kinds.targets import MULTI_HOT
from kit.plugins.ensembler.class_thresholds import best_thresholds, move_thresholds


def drawn(seed: int = 0, rows: int = 200, classes: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities that are too low for rare labels, and the truth."""
    rng = np.random.default_rng(seed)
    truth = (rng.random((rows, classes)) < 0.15).astype(np.int8)
    return 0.4 * rng.random((rows, classes)) + 0.2 * truth, truth


def test_a_threshold_moves_to_one_half_and_the_order_stays() -> None:
    shares = np.array([[0.1, 0.2], [0.2, 0.5], [0.6, 0.8]])
    probabilities = move_thresholds(shares, np.array([0.2, 0.5]))
    assert probabilities[1].tolist() == [0.5, 0.5]
    np.testing.assert_allclose(probabilities[:, 1], shares[:, 1])
    # odds of .1 are 1/9, divided by those of .2, 1/4: 4/9, so 4/13
    assert probabilities[0, 0] == pytest.approx(4 / 13)
    # odds of .6 are 3/2, divided by 1/4: 6
    assert probabilities[2, 0] == pytest.approx(6 / 7)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", ["macro_f1", "samples_f1", "accuracy"])
def test_thresholds_are_as_good_as_any_of_the_grid(name: str, seed: int) -> None:
    shares, truth = drawn(seed)
    metric, grid = Metric.open(name), np.arange(1, 10) / 10
    every = [
        metric.score(truth, (shares >= pair).astype(float)) for pair in itertools.product(grid, repeat=2)
    ]
    thresholds = best_thresholds(metric, shares, truth, 9)
    assert set(thresholds.round(6)) <= set(grid.round(6))
    reached = metric.score(truth, (shares >= thresholds).astype(float))
    # classes of macro F1 do not see each other, so the search finds the best; else it may end nearby
    assert reached >= max(every) - (1e-9 if name == "macro_f1" else 0.02)
    assert reached > metric.score(truth, shares)


@pytest.mark.parametrize("rule", [Decision(0.3), Decision(0.5, 1), Decision(0.7, 1)])
def test_the_thresholds_stand_at_the_competitions_and_do_as_well_with_its_rule(rule: Decision) -> None:
    shares, truth = drawn(2)
    metric = Metric.open("samples_f1").with_known(decision=rule)
    recipe = for_labels(Ensembler.open("class_thresholds"), target=MULTI_HOT, decision=rule)
    fitted = recipe.model_copy(update={"metric": metric}).fit(shares[None], truth)
    probabilities = fitted.blend(shares[None])
    by_hand = shares >= np.array(fitted.spec()["thresholds"])
    odds = (
        shares
        / (1 - shares)
        / (np.array(fitted.spec()["thresholds"]) / (1 - np.array(fitted.spec()["thresholds"])))
    )
    for row in np.flatnonzero(~by_hand.any(axis=1)) if rule.min_labels else ():
        by_hand[row, odds[row].argmax()] = True
    np.testing.assert_array_equal(rule.assign_labels(probabilities), by_hand)
    assert metric.score(truth, probabilities) >= metric.score(truth, shares)


def test_fitted_and_written_down_it_blends_alike() -> None:
    shares, truth = drawn()
    members = np.stack([shares, shares**1.1])
    recipe = for_labels(Ensembler.open({"name": "class_thresholds", "metric": "macro_f1"}), target=MULTI_HOT)
    fitted = recipe.fit(members, truth)
    assert Metric.open("macro_f1").score(truth, fitted.blend(members)) > 0.5
    again = for_labels(Ensembler.open(fitted.spec()), target=MULTI_HOT)
    np.testing.assert_array_equal(again.blend(members), fitted.blend(members))
    with pytest.raises(ConfigError, match="2 thresholds for 3 classes"):
        again.blend(np.full((2, 4, 3), 0.5))


def test_a_metric_that_thresholds_cannot_help_leaves_them_at_one_half() -> None:
    shares, truth = drawn()
    assert best_thresholds(Metric.open("auc"), shares, truth, 9).tolist() == [0.5, 0.5]
