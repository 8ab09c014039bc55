"""Scores of what is fitted are of rows that it was not fitted on: known members show who flatters."""

from __future__ import annotations

import numpy as np
import pytest

from kit.blending.crossfit import cross_fit
from kit.blending.scores import BLEND, MEAN, Comparison, Predicted, compared
from kit.kinds import Ensembler, Metric
from tests.drawn_members import drawn

ROWS = 300
F1 = Metric.open("macro_f1")


def comparison(
    recipe: Ensembler, members: np.ndarray, truth: np.ndarray, groups: np.ndarray | None = None
) -> tuple[Comparison, Ensembler]:
    """What `kit blend` would compare, over five folds, and the recipe fitted on all rows."""
    folds = (np.arange(len(truth)) if groups is None else groups) % 5
    honest, fitted = cross_fit(recipe, members, truth, folds, groups)
    plain = [Predicted(f"m{number}", one, one) for number, one in enumerate(members)]
    mean = members.mean(axis=0)
    blend = Predicted(BLEND, honest, fitted.blend(members))
    best = cross_fit(Ensembler.open({"name": "single", "metric": "macro_f1"}), members, truth, folds, groups)[
        0
    ]
    return compared(F1, truth, folds, groups, [*plain, Predicted(MEAN, mean, mean), blend], best), fitted


@pytest.mark.parametrize("spec", [{"name": "hill_climb", "metric": "macro_f1", "rounds": 15}])
def test_in_sample_flatters_and_nested_does_not(spec: dict[str, object]) -> None:
    """Twelve equal members: whatever is chosen among them is noise, and fresh rows say so."""
    flattery, error = [], []
    for seed in range(8):
        members, truth = drawn(seed, 12, 8 * ROWS, 4, signal=1.0)
        found, fitted = comparison(Ensembler.open(spec), members[:, :ROWS], truth[:ROWS])
        fresh = F1.score(truth[ROWS:], fitted.blend(members[:, ROWS:]))
        flattery.append(found.blend.in_sample - fresh)
        error.append(found.blend.cv - fresh)
    assert np.mean(flattery) > 0.02  # every time, by far more than it wavers
    assert np.mean(flattery) > 3 * np.std(flattery) / np.sqrt(8)
    assert abs(np.mean(error)) < 2 * np.std(error) / np.sqrt(8) + 0.005
    assert np.mean(error) < 0.5 * np.mean(flattery)


def test_what_is_not_fitted_scores_the_same_in_sample() -> None:
    members, truth = drawn(members=3)
    found, _ = comparison(Ensembler.open("geometric"), members, truth)
    assert found.blend.in_sample == pytest.approx(found.blend.cv)
    for score in (*found.members, found.mean):
        assert score.in_sample == score.cv


def test_the_gain_of_choosing_among_equals_is_not_shown_and_the_mean_is_recommended() -> None:
    members, truth = drawn(3, 12, ROWS, 4, signal=1.0)
    found, _ = comparison(
        Ensembler.open({"name": "hill_climb", "metric": "macro_f1", "rounds": 10}), members, truth
    )
    assert found.blend.in_sample > found.mean.cv
    assert not found.blend.gains[1].shown
    assert found.recommended == MEAN


def test_the_best_of_equal_members_is_best_by_chance_and_chosen_as_on_other_rows() -> None:
    members, truth = drawn(3, 12, ROWS, 4, signal=1.0)
    found, _ = comparison(Ensembler.open("mean"), members, truth)
    best = next(one for one in found.members if one.name == found.best)
    average = np.mean([one.cv for one in found.members])
    assert best.gains[0].value > 0.02  # what the best score of twelve flatters by
    assert found.mean.cv - found.mean.gains[0].value == pytest.approx(average, abs=0.02)
    assert found.recommended == MEAN


def test_a_real_gain_is_shown() -> None:
    good, truth = drawn(0, 3, 600, 4, signal=2.0)
    poor = drawn(1, 6, 600, 4, signal=0.0, shared=4.0)[0]
    members = np.concatenate([good, poor])
    found, _ = comparison(Ensembler.open({"name": "simplex"}), members, truth)
    assert found.blend.gains[1].over == MEAN
    assert all(one.shown for one in found.blend.gains)
    assert found.recommended == BLEND


def test_one_good_member_is_simpler_than_its_mean_with_noise() -> None:
    good, truth = drawn(0, 1, 400, 4, signal=3.0)
    members = np.concatenate([good, drawn(1, 2, 400, 4, signal=0.0)[0]])
    found, _ = comparison(Ensembler.open("mean"), members, truth)
    assert found.best == found.recommended == "m0"
    assert found.mean.gains[0].high is not None
    assert found.mean.gains[0].high < 0


def test_the_bootstrap_draws_groups_where_there_are_some() -> None:
    members, truth = drawn(0, 2, 100, 4)
    copies = np.repeat(np.arange(100), 6)
    free, _ = comparison(Ensembler.open("mean"), members[:, copies], truth[copies])
    whole, _ = comparison(Ensembler.open("mean"), members[:, copies], truth[copies], copies)
    widths = [one.mean.gains[0].high - one.mean.gains[0].low for one in (free, whole)]  # type: ignore[operator]
    assert whole.by_groups
    assert widths[1] > 1.8 * widths[0]


def test_a_fold_without_a_score_is_left_open() -> None:
    members, truth = drawn(members=2, classes=2, rows=40)
    folds = truth.copy()  # each fold has one class, so no AUC
    plain = [Predicted(name, members[0], members[0]) for name in ("m0", MEAN, BLEND)]
    found = compared(Metric.open("auc"), truth, folds, None, plain, members[0])
    assert found.blend.folds == {0: None, 1: None}
    assert found.blend.cv > 0.5
