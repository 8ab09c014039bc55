"""A gain is above 0 where it is better, and shown where its whole interval is."""

from __future__ import annotations

import numpy as np
import pytest

from kit.evaluation.gains import Gain, gain, simplest_not_worse
from kit.kinds import Metric

DRAWN = np.arange(101) / 100  # 0 to 1: the 2.5th percentile is .025


def test_the_interval_holds_95_per_cent_of_the_differences() -> None:
    found = gain(Metric.open("accuracy"), "x", 0.9, 0.4, DRAWN + 0.5, np.full(101, 0.5))
    assert found == Gain("x", 0.5, pytest.approx(0.025), pytest.approx(0.975))
    assert found.is_significant


def test_lower_is_a_gain_where_lower_is_better() -> None:
    found = gain(Metric.open("log_loss"), "x", 0.4, 0.9, -DRAWN, np.zeros(101))
    assert (found.value, found.is_significant) == (0.5, True)
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
    found = gain(Metric.open("auc"), "x", 0.9, 0.4, few, np.zeros(101))
    assert (found.low, found.high, found.is_significant) == (None, None, False)


def test_half_of_the_draws_are_enough_for_an_interval() -> None:
    half = np.array([0.1, 0.2, np.nan, np.nan])
    found = gain(Metric.open("auc"), "x", 0.9, 0.4, half, np.zeros(4))
    assert (found.low, found.high) == (pytest.approx(0.1025), pytest.approx(0.1975))
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
