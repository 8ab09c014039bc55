"""Which rows are sure enough, by hand; how often their labels are right, beside scipy's interval."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest

from kit.stages.pseudo_labelling.estimate import Estimate, estimate, wilson
from kit.stages.pseudo_labelling.rule import Rule
from kit.stages.pseudo_labelling.selection import ClassShare, find_shifted_classes

PRIOR = np.array([0.5, 0.25, 0.25])
# called 0 0 0 0 1 1 2 0
SHARES = np.array(
    [[0.9, 0.1, 0.0], [0.8, 0.1, 0.1], [0.7, 0.3, 0.0], [0.6, 0.2, 0.2],
     [0.1, 0.9, 0.0], [0.2, 0.5, 0.3], [0.3, 0.3, 0.4], [0.95, 0.05, 0.0]]
)  # fmt: skip
AGREED = np.array([True, False, True, True, True, True, False, False])


def taken(**rule: Any) -> list[int]:
    rows: list[int] = np.flatnonzero(Rule(**rule).select(SHARES, AGREED, PRIOR)).tolist()
    return rows


@pytest.mark.parametrize(
    ("rule", "rows"),
    [
        ({}, [0, 4, 7]),
        ({"threshold": 0.7}, [0, 1, 2, 4, 7]),
        ({"threshold": 0}, list(range(8))),
        ({"threshold": 1.0}, []),
        ({"threshold": 0.7, "unanimous": True}, [0, 2, 4]),
        ({"threshold": 0, "top_fraction": 0.4}, [0, 4, 6, 7]),  # 2 of 5, 1 of 2, 1 of 1
        ({"threshold": 0.9, "top_fraction": 0.2}, [4, 7]),
        (
            {"threshold": 0, "top_fraction": 0.5, "class_balanced": True},
            [0, 4, 6, 7],
        ),  # 8 rows: 4 * (2, 1, 1)
        ({"threshold": 0, "top_fraction": 1.0, "class_balanced": True}, [0, 1, 2, 4, 5, 6, 7]),  # 4, 2, 2
        (
            {"threshold": 0, "top_fraction": 0.4, "unanimous": True},
            [0, 2, 4],
        ),  # of those agreed on the two surest of class 0
    ],
)
def test_the_surest_rows_are_taken(rule: dict[str, object], rows: list[int]) -> None:
    assert taken(**rule) == rows


def test_of_equally_sure_rows_the_first_is_taken_and_no_row_is_no_fault() -> None:
    rule = Rule(0.0, 0.5)
    assert rule.select(np.full((4, 2), 0.5), np.ones(4, bool), np.array([0.5, 0.5])).tolist() == [
        True,
        True,
        False,
        False,
    ]
    assert rule.select(np.empty((0, 2)), np.ones(0, bool), np.array([0.5, 0.5])).tolist() == []


def test_the_estimate_counts_what_is_taken_and_what_is_right_of_each_class() -> None:
    called, truth = SHARES.argmax(1), np.array([0, 0, 0, 0, 1, 1, 2, 1])
    result = estimate(called, truth, Rule().select(SHARES, AGREED, PRIOR), 3)
    assert result == Estimate(8, 3, 2, ((2, 1), (1, 1), (0, 0)))
    assert (result.share, result.accuracy) == (3 / 8, 2 / 3)
    assert result + Estimate.is_empty(3) == result
    assert (result + result).by_class == ((4, 2), (2, 2), (0, 0))
    assert Estimate.is_empty(3).accuracy is None


@pytest.mark.parametrize(("right", "of"), [(0, 5), (2, 3), (934, 934), (70, 100)])
def test_the_interval_is_scipys(right: int, of: int) -> None:
    expected = binomtest(right, of).proportion_ci(0.95, method="wilson")
    assert wilson(right, of) == pytest.approx((expected.low, expected.high), abs=1e-6)


def test_without_a_row_nothing_is_known() -> None:
    assert wilson(0, 0) == (0.0, 1.0)


def test_a_class_is_distinguished_where_its_share_is_twice_its_prior_or_half_of_it() -> None:
    class_shares = [
        ClassShare("as it is", 50, 0.5, 0.4, None),
        ClassShare("none", 0, 0.0, 0.1, None),
        ClassShare("many", 41, 0.41, 0.2, None),
        ClassShare("rare", 0, 0.0, 0.04, None),  # 4 rows would say nothing
    ]
    assert [one.name for one in find_shifted_classes(class_shares, 100)] == ["none", "many"]
    assert [one.name for one in find_shifted_classes(class_shares, 200)] == ["none", "many", "rare"]
