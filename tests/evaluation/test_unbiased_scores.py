"""Scores of what is fitted are of rows that it was not fitted on: known members show which one is optimistic."""

from __future__ import annotations

import numpy as np
import pytest

from kit.commands._scores import recommendation
from kit.core.randomness import generator
from kit.evaluation.bootstrap import Gain
from kit.evaluation.crossfit import cross_fit
from kit.kinds import Ensembler, Metric
from kit.stages.blending.scores import BLEND, MEAN, Comparison, MemberPredictions, compare, sole_member
from tests.drawn_members import drawn

ROWS = 300
F1 = Metric.open("macro_f1")


def comparison(
    recipe: Ensembler, members: np.ndarray, truth: np.ndarray, groups: np.ndarray | None = None
) -> tuple[Comparison, Ensembler]:
    """What `kit blend` would compare, over five folds, and the recipe fitted on all rows."""
    folds = (np.arange(len(truth)) if groups is None else groups) % 5
    honest, fitted = cross_fit(recipe, members, truth, folds, groups)
    plain = [MemberPredictions(f"m{number}", one, one) for number, one in enumerate(members)]
    mean = members.mean(axis=0)
    blend = MemberPredictions(BLEND, honest, fitted.blend(members))
    sole = sole_member(fitted, members, blend.in_sample)
    named = None if sole is None else f"m{sole}"
    return compare(
        F1, truth, folds, groups, [*plain, MemberPredictions(MEAN, mean, mean), blend], named
    ), fitted


@pytest.mark.parametrize("spec", [{"name": "hill_climb", "metric": "macro_f1", "rounds": 15}])
def test_in_sample_is_optimistic_and_nested_is_not(spec: dict[str, object]) -> None:
    """Twelve equal members: whatever is chosen among them is noise, and fresh rows say so."""
    flattery, error = [], []
    for seed in range(8):
        members, truth = drawn(seed, 12, 8 * ROWS, 4, signal=1.0)
        result, fitted = comparison(Ensembler.open(spec), members[:, :ROWS], truth[:ROWS])
        fresh = F1.score(truth[ROWS:], fitted.blend(members[:, ROWS:]))
        flattery.append(result.blend.in_sample - fresh)
        error.append(result.blend.cv - fresh)
    assert np.mean(flattery) > 0.02  # every time, by far more than it wavers
    assert np.mean(flattery) > 3 * np.std(flattery) / np.sqrt(8)
    assert abs(np.mean(error)) < 2 * np.std(error) / np.sqrt(8) + 0.005
    assert np.mean(error) < 0.5 * np.mean(flattery)


def test_what_is_not_fitted_scores_the_same_in_sample() -> None:
    members, truth = drawn(members=3)
    result, _ = comparison(Ensembler.open("geometric"), members, truth)
    assert result.blend.in_sample == pytest.approx(result.blend.cv)
    for score in (*result.members, result.mean):
        assert score.in_sample == score.cv


def test_the_gain_of_choosing_among_equals_is_not_shown_and_a_simpler_choice_is_named() -> None:
    members, truth = drawn(3, 12, ROWS, 4, signal=1.0)
    result, _ = comparison(
        Ensembler.open({"name": "hill_climb", "metric": "macro_f1", "rounds": 10}), members, truth
    )
    assert result.blend.in_sample > result.mean.cv
    assert not any(one.is_significant for one in result.blend.gains)
    assert (
        result.recommended == result.best
    )  # of 300 rows no gain of the mean over the best of twelve is shown
    members, truth = drawn(3, 12, 8 * ROWS, 4, signal=1.0)
    assert comparison(Ensembler.open("geometric"), members, truth)[0].recommended == MEAN


def by_hand(right: np.ndarray, base: np.ndarray) -> tuple[float, float, float]:
    """The gain of accuracy over the best of `base` (M, N), chosen again in each of 1000 draws, in plain numpy."""
    rng, count = generator(0, "bootstrap", len(right)), len(right)
    draws = [rng.integers(count, size=count) for _ in range(1000)]
    gains = [right[rows].mean() - base[:, rows].mean(axis=1).max() for rows in draws]
    low, high = np.percentile(gains, [2.5, 97.5])
    return right.mean() - base.mean(axis=1).max(), low, high


def test_the_best_member_is_chosen_again_in_every_draw_and_the_one_of_all_rows_stands_beside_it() -> None:
    members, truth = drawn(3, 4, 200, 4, signal=1.0)
    folds, mean = np.arange(200) % 5, members.mean(axis=0)
    plain = [MemberPredictions(f"m{number}", one, one) for number, one in enumerate(members)]
    both = [MemberPredictions(MEAN, mean, mean), MemberPredictions(BLEND, mean, mean)]
    result = compare(Metric.open("accuracy"), truth, folds, None, [*plain, *both])
    right, base = mean.argmax(axis=1) == truth, members.argmax(axis=2) == truth
    gain, _, over_top = result.blend.gains
    assert (gain.value, gain.low, gain.high) == pytest.approx(by_hand(right, base))
    top = int(base.mean(axis=1).argmax())
    assert over_top.over == result.best == f"m{top}"
    assert (over_top.value, over_top.low, over_top.high) == pytest.approx(by_hand(right, base[[top]]))
    assert gain.value == over_top.value
    assert gain.low is not None
    assert over_top.low is not None
    assert gain.low < over_top.low  # the choice is uncertain, and the interval has that


def test_a_near_tie_in_one_fold_does_not_change_what_the_gain_is_over() -> None:
    """Two members of 60 rows: one is better by a row in all, the other by a row on the rows of four folds."""
    truth, folds = np.zeros(60, dtype=np.int64), np.arange(60) // 12
    wrong = {0: [0, 1, 12, 24, 36, 48], 1: [0, 1, 2, 3, 12, 24, 36]}
    members = np.tile(np.array([0.8, 0.2], np.float32), (2, 60, 1))
    for member, rows in wrong.items():
        members[member, rows] = [0.3, 0.7]
    mean = members.mean(axis=0)
    plain = [MemberPredictions(f"m{number}", one, one) for number, one in enumerate(members)]
    both = [MemberPredictions(MEAN, mean, mean), MemberPredictions(BLEND, mean, mean)]
    result = compare(Metric.open("accuracy"), truth, folds, None, [*plain, *both])
    assert result.best == "m0"
    assert result.blend.gains[0].value == pytest.approx((mean.argmax(axis=1) == truth).mean() - 54 / 60)


@pytest.mark.parametrize(
    "spec",
    [
        {"name": "weighted", "weights": [0, 2, 0]},
        {"name": "single", "metric": "macro_f1"},
        {"name": "auto", "candidates": [{"name": "weighted", "weights": [0, 1, 0]}]},
    ],
    ids=str,
)
def test_a_blend_with_all_weight_on_one_member_claims_no_gain(spec: dict[str, object]) -> None:
    members, truth = drawn(0, 3, 200, 4, signal=1.0)
    members[1] = drawn(0, 1, 200, 4, signal=4.0)[0][0]
    result, _ = comparison(Ensembler.open(spec), members, truth)
    assert result.sole == result.best == result.recommended == "m1"
    assert not any(one.is_significant for one in result.blend.gains)
    assert all(one.low is None for one in result.blend.gains)
    assert "all weight is on m1" in recommendation(result)
    assert "shown" not in recommendation(result)


@pytest.mark.parametrize("factor", [4, 1.001])
def test_thresholds_on_one_member_are_more_than_the_member(factor: float) -> None:
    members, _ = drawn(0, 2, 200, 4, signal=1.0)
    factors = {
        "name": "class_factors",
        "base": {"name": "weighted", "weights": [1, 0]},
        "factors": [factor, 1, 1, 1],
    }
    recipe = Ensembler.open(factors)
    assert sole_member(recipe, members, recipe.blend(members)) is None
    assert sole_member(recipe, members, members[0].astype(np.float64)) == 0


def test_a_real_gain_is_shown() -> None:
    good, truth = drawn(0, 3, 600, 4, signal=2.0)
    poor = drawn(1, 6, 600, 4, signal=0.0, shared=4.0)[0]
    members = np.concatenate([good, poor])
    result, _ = comparison(Ensembler.open({"name": "simplex"}), members, truth)
    assert result.blend.gains[1].over == MEAN
    assert all(one.is_significant for one in result.blend.gains)
    assert result.recommended == BLEND


def test_one_good_member_is_simpler_than_its_mean_with_noise() -> None:
    good, truth = drawn(0, 1, 400, 4, signal=3.0)
    members = np.concatenate([good, drawn(1, 2, 400, 4, signal=0.0)[0]])
    result, _ = comparison(Ensembler.open("mean"), members, truth)
    assert result.best == result.recommended == "m0"
    assert result.mean.gains[0].high is not None
    assert result.mean.gains[0].high < 0


def width(gain: Gain) -> float:
    assert gain.low is not None
    assert gain.high is not None
    return gain.high - gain.low


def test_the_bootstrap_draws_groups_where_there_are_some() -> None:
    members, truth = drawn(0, 2, 100, 4)
    copies = np.repeat(np.arange(100), 6)
    free, _ = comparison(Ensembler.open("mean"), members[:, copies], truth[copies])
    whole, _ = comparison(Ensembler.open("mean"), members[:, copies], truth[copies], copies)
    widths = [width(one.mean.gains[0]) for one in (free, whole)]
    assert whole.by_groups
    assert widths[1] > 1.8 * widths[0]


def test_the_best_member_is_the_one_with_the_lowest_loss() -> None:
    truth, folds = np.arange(60) % 2, np.arange(60) // 20
    sure, unsure = (np.where(truth[:, None] == [0, 1], share, 1 - share) for share in (0.8, 0.6))
    plain = [MemberPredictions(name, each, each) for name, each in (("a", sure), ("b", unsure))]
    both = [MemberPredictions(name, (sure + unsure) / 2, (sure + unsure) / 2) for name in (MEAN, BLEND)]
    result = compare(Metric.open("log_loss"), truth, folds, None, [*plain, *both])
    assert result.best == result.recommended == "a"
    over_best, over_mean, over_top = result.blend.gains
    assert over_best.value == over_top.value == pytest.approx(np.log(0.7) - np.log(0.8))
    assert (over_best.low, over_best.high) == pytest.approx((over_best.value, over_best.value))
    assert over_mean.value == 0


def test_a_single_member_has_all_the_weight_and_equal_members_do_not() -> None:
    members, _ = drawn(members=1, rows=40)
    mean = Ensembler.open("mean")
    assert sole_member(mean, members, members[0].astype(np.float64)) == 0
    twice = np.concatenate([members, members])
    assert sole_member(mean, twice, members[0].astype(np.float64)) is None


def test_a_fold_without_a_score_is_left_open() -> None:
    members, truth = drawn(members=2, classes=2, rows=40)
    folds = truth.copy()  # each fold has one class, so no AUC
    plain = [MemberPredictions(name, members[0], members[0]) for name in ("m0", MEAN, BLEND)]
    result = compare(Metric.open("auc"), truth, folds, None, plain)
    assert result.blend.folds == {0: None, 1: None}
    assert result.blend.cv > 0.5
