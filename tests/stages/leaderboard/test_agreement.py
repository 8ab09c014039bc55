"""How cross-validation and leaderboard agree: numbers worked out by hand, and doubts only where chance is no answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from kit.stages.leaderboard.agreement import (
    LEVEL_CHECKS,
    ORDER_CHECKS,
    OUTLIER_CHECKS,
    TREND_CHECKS,
    Agreement,
    agreement,
)
from kit.stages.leaderboard.noise import Noise
from kit.stages.submission.board import Entry

Pairs = Sequence[tuple[float | None, float | None]]  # of cross-validation and leaderboard

ENTRY = Entry(
    number=1,
    name="x",
    file="x.csv",
    cv=0.5,
    metric="macro_f1",
    better="higher",
    leaderboard=None,
    members="a@plain",
    ensembler="mean",
    rows=9,
    created="2024-01-02T03:04:05+00:00",
)
QUIET = Noise("macro_f1", 1, 900, 300, False, 0.003, (500, 0.004), None, None)  # a gap's error is .005


def entries(pairs: Pairs, better: str = "higher") -> list[Entry]:
    return [
        replace(ENTRY, number=number, cv=cv, leaderboard=said, better=better)
        for number, (cv, said) in enumerate(pairs, 1)
    ]


def agreement_of(pairs: Pairs, noise: Noise | None = QUIET) -> Agreement:
    return agreement(entries(pairs), noise)


def checks(result: Agreement) -> list[tuple[str, ...]]:
    return [doubt.checks for doubt in result.doubts]


def test_the_numbers_are_those_worked_out_by_hand() -> None:
    result = agreement_of([(0.1, 0.1), (0.2, 0.3), (0.3, 0.2), (0.4, 0.4), (0.9, None), (None, 0.2)], None)
    assert result.scored == 4
    assert result.correlation == pytest.approx(1 - 6 * 2 / (4 * 15))  # two ranks differ by one
    assert result.gap == pytest.approx(0)
    assert result.trend == pytest.approx(-0.025)  # the slopes are .1 -.05 0 -.2 -.05 .1
    assert result.doubts == ()


def test_submissions_are_taken_in_the_order_of_their_numbers() -> None:
    pairs = entries([(0.1, 0.1), (0.2, 0.21), (0.3, 0.32)])
    assert agreement(pairs[::-1], None).trend == pytest.approx(0.01)


def test_too_few_scores_have_a_gap_and_nothing_else() -> None:
    assert agreement_of([]) == Agreement(0, None, None, None, None)
    assert agreement_of([(0.5, None)]).scored == 0
    two = agreement_of([(0.5, 0.4), (0.6, 0.3)])
    assert (two.scored, two.correlation, two.trend, two.doubts) == (2, None, None, ())
    assert two.gap == pytest.approx(-0.2)


def test_scores_that_are_all_the_same_have_no_correlation() -> None:
    result = agreement_of([(0.5, 0.5), (0.5, 0.6), (0.5, 0.7)])
    assert result.correlation is None


@pytest.mark.parametrize(
    ("shift", "doubts"), [(-0.009, []), (-0.011, [LEVEL_CHECKS]), (0.011, [LEVEL_CHECKS])]
)
def test_a_gap_beyond_two_errors_is_a_doubt(shift: float, doubts: list[tuple[str, ...]]) -> None:
    result = agreement_of([(cv, cv + shift) for cv in (0.5, 0.52, 0.54, 0.56)])
    assert checks(result) == doubts
    word = "worse" if shift < 0 else "better"
    for doubt in result.doubts:
        assert doubt.what == f"the leaderboard is {word} than cross-validation by 0.0110, 2.2 times its noise"


def test_a_gap_of_unknown_noise_is_no_doubt() -> None:
    assert agreement_of([(cv, cv - 0.1) for cv in (0.5, 0.52, 0.54, 0.56)], None).doubts == ()


def test_three_scores_are_too_few_for_a_doubt() -> None:
    assert agreement_of([(cv, cv - 0.1) for cv in (0.5, 0.52, 0.54)]).doubts == ()


def test_one_submission_apart_from_the_others_is_a_doubt() -> None:
    pairs = [(0.5, 0.5), (0.52, 0.52), (0.54, 0.54), (0.56, 0.569), (0.58, 0.58)]
    result = agreement_of(pairs)
    assert checks(result) == [OUTLIER_CHECKS]
    assert (
        result.doubts[0].what == "the gap of submission 4 differs by +0.0090 from that of the others, "
        "2.2 times the noise"
    )
    assert checks(agreement_of([*pairs[:3], (0.56, 0.567), pairs[4]])) == []
    assert agreement_of(pairs, None).doubts == ()


def test_ranking_against_each_other_is_a_doubt_unless_all_scores_are_alike() -> None:
    against = [(0.500, 0.505), (0.502, 0.503), (0.503, 0.502), (0.505, 0.500)]
    assert checks(agreement_of(against)) == [ORDER_CHECKS]
    alike = [(0.5 + (cv - 0.5) / 10, 0.5 + (said - 0.5) / 10) for cv, said in against]
    assert checks(agreement_of(alike)) == []


def test_a_gap_that_widens_with_each_submission_is_a_doubt() -> None:
    widening = [(0.50, 0.50), (0.51, 0.509), (0.52, 0.518), (0.53, 0.527), (0.54, 0.536)]
    result = agreement_of(widening)
    assert result.trend == pytest.approx(-0.001)
    assert result.trend_chance == pytest.approx(2 / 120)  # one order of 5! and its reverse
    assert checks(result) == [TREND_CHECKS]
    assert checks(agreement_of(widening[:4])) == []  # 2 / 24 is chance


def test_where_lower_is_better_a_gap_above_0_is_the_worse_one() -> None:
    rising = [(0.50, 0.50), (0.49, 0.491), (0.48, 0.482), (0.47, 0.473), (0.46, 0.464)]
    assert checks(agreement(entries(rising, "lower"), QUIET)) == [TREND_CHECKS]
    assert checks(agreement(entries(rising, "higher"), QUIET)) == []
    level = agreement(entries([(cv, cv + 0.02) for cv in (0.5, 0.52, 0.54, 0.56)], "lower"), QUIET)
    assert "the leaderboard is worse" in level.doubts[0].what
