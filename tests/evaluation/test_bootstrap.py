"""The bootstrap's scores: the same by every way, groups drawn whole, spread as theory says."""

from __future__ import annotations

import numpy as np
import pytest

from kit.errors import InvalidError
from kit.evaluation import bootstrap
from kit.evaluation.bootstrap import Gain, gain, simplest_not_worse
from kit.kinds import Metric
from tests.approximate import approx
from tests.drawn_members import drawn


class Bare(Metric):
    """A metric without its shortcuts. Source: this test."""

    of: Metric

    def score(self, truth: np.ndarray, probabilities: np.ndarray) -> float:
        return self.of.score(truth, probabilities)


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("name", ["macro_f1", "accuracy", "log_loss", "auc"])
def test_a_shortcut_draws_the_same_rows_and_scores_them_alike(
    name: str, grouped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "MAX_DRAWS", bootstrap.MIN_DRAWS)
    members, truth = drawn(members=2, rows=60)
    groups = np.arange(60) // 4 if grouped else None
    metric = Metric.open(name)
    quick = bootstrap.resample_scores(metric, truth, list(members), groups)
    slow = bootstrap.resample_scores(Bare(of=metric), truth, list(members), groups)
    np.testing.assert_allclose(quick, slow, rtol=1e-9)


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize(
    "name", ["macro_f1", "accuracy", "log_loss", "auc", "average_precision", "samples_f1"]
)
def test_a_shortcut_of_several_labels_a_row_draws_and_scores_them_alike(
    name: str, grouped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "MAX_DRAWS", bootstrap.MIN_DRAWS)
    rng = np.random.default_rng(1)
    truth = (rng.random((60, 3)) < 0.3).astype(np.int8)
    members = [np.round(0.3 * truth + 0.7 * rng.random((60, 3)), 1) for _ in range(2)]  # with ties
    groups = np.arange(60) // 4 if grouped else None
    metric = Metric.open(name)
    quick = bootstrap.resample_scores(metric, truth, members, groups)
    slow = bootstrap.resample_scores(Bare(of=metric), truth, members, groups)
    np.testing.assert_allclose(quick, slow, rtol=1e-9)


def test_the_spread_is_that_of_a_share() -> None:
    members, truth = drawn(members=1, rows=400)
    metric = Metric.open("accuracy")
    share = metric.score(truth, members[0])
    spread = bootstrap.resample_scores(metric, truth, [members[0]]).std()
    assert spread == pytest.approx(np.sqrt(share * (1 - share) / 400), rel=0.1)


def test_groups_are_drawn_whole() -> None:
    """Nine copies of each row tell nothing new: drawn by groups the spread is that of the single rows."""
    members, truth = drawn(members=1, rows=100)
    copies = np.repeat(np.arange(100), 9)
    metric = Metric.open("macro_f1")
    single = bootstrap.resample_scores(metric, truth, [members[0]]).std()
    whole = bootstrap.resample_scores(metric, truth[copies], [members[0][copies]], copies).std()
    torn = bootstrap.resample_scores(metric, truth[copies], [members[0][copies]]).std()
    assert whole == pytest.approx(single, rel=0.1)
    assert torn == pytest.approx(single / 3, rel=0.15)


def test_predictions_are_scored_on_the_same_draws() -> None:
    members, truth = drawn(members=1)
    scores = bootstrap.resample_scores(Metric.open("log_loss"), truth, [members[0], members[0]])
    assert (scores[:, 0] == scores[:, 1]).all()


def test_draws_without_a_score_are_nan() -> None:
    shares = np.array([[0.4, 0.6], [0.7, 0.3], [0.6, 0.4]])
    truth = np.array([1, 0, 0])
    for metric in (Metric.open("auc"), Bare(of=Metric.open("auc"))):
        scores = bootstrap.resample_scores(metric, truth, [shares])
        # no positive row is drawn in (2/3)^3 of the draws, none but it in (1/3)^3
        assert np.isnan(scores).mean() == pytest.approx(8 / 27 + 1 / 27, abs=0.05)
        with pytest.raises(InvalidError, match="D45"):
            metric.score(truth[1:], shares[1:])


def test_draws_become_fewer_as_rows_become_more() -> None:
    assert bootstrap.draw_count(100) == bootstrap.MAX_DRAWS
    assert bootstrap.draw_count(10**6) == 400
    assert bootstrap.draw_count(10**9) == bootstrap.MIN_DRAWS


def test_draws_are_always_the_same() -> None:
    members, truth = drawn(members=1)
    metric, member = Metric.open("macro_f1"), members[0]
    first, again = (bootstrap.resample_scores(metric, truth, [member]) for _ in range(2))
    assert (first == again).all()
    assert (first != bootstrap.resample_scores(metric, truth, [member], seed=1)).any()


DRAWN = np.arange(101) / 100  # 0 to 1: the 2.5th percentile is .025


def test_the_interval_holds_95_per_cent_of_the_differences() -> None:
    result = gain(Metric.open("accuracy"), "x", 0.9, 0.4, DRAWN + 0.5, np.full(101, 0.5))
    assert result == Gain("x", 0.5, approx(0.025), approx(0.975))
    assert result.is_significant


def test_lower_is_a_gain_where_lower_is_better() -> None:
    result = gain(Metric.open("log_loss"), "x", 0.4, 0.9, -DRAWN, np.zeros(101))
    assert (result.value, result.is_significant) == (0.5, True)
    assert not gain(Metric.open("log_loss"), "x", 0.9, 0.4, DRAWN, np.zeros(101)).is_significant


def test_an_interval_that_touches_0_shows_nothing() -> None:
    assert not gain(Metric.open("accuracy"), "x", 0.9, 0.4, DRAWN - 0.025, np.zeros(101)).is_significant
    assert not gain(Metric.open("accuracy"), "x", 0.5, 0.5, DRAWN, DRAWN).is_significant


def test_a_difference_of_rounding_shows_nothing() -> None:
    assert not gain(
        Metric.open("log_loss"), "x", 0.5, 0.5, np.full(9, 0.5 - 1e-13), np.full(9, 0.5)
    ).is_significant


def test_draws_without_a_score_are_left_out_and_too_few_give_no_interval() -> None:
    some = np.where(np.arange(101) % 3 == 0, np.nan, DRAWN + 0.1)
    assert gain(Metric.open("auc"), "x", 0.9, 0.4, some, np.zeros(101)).is_significant
    few = np.where(np.arange(101) % 3 == 0, DRAWN + 0.1, np.nan)
    result = gain(Metric.open("auc"), "x", 0.9, 0.4, few, np.zeros(101))
    assert (result.low, result.high, result.is_significant) == (None, None, False)


def test_half_of_the_draws_are_enough_for_an_interval() -> None:
    half = np.array([0.1, 0.2, np.nan, np.nan])
    result = gain(Metric.open("auc"), "x", 0.9, 0.4, half, np.zeros(4))
    assert (result.low, result.high) == (approx(0.1025), approx(0.1975))
    assert gain(Metric.open("auc"), "x", 0.9, 0.4, np.append(half, np.nan), np.zeros(5)).low is None


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        ([], "best"),
        ([("mean", "best")], "mean"),
        ([("blend", "best")], "mean"),  # the mean is as good as the blend, and simpler
        ([("blend", "best"), ("blend", "mean")], "blend"),
        ([("mean", "best"), ("blend", "best"), ("blend", "mean")], "blend"),
        ([("blend", "mean")], "best"),
    ],
)
def test_the_simplest_that_nothing_beats(shown: list[tuple[str, str]], expected: str) -> None:
    names = ["best", "mean", "blend"]
    better = {(later, first): (later, first) in shown for later in names for first in names}
    assert simplest_not_worse(names, better) == expected
