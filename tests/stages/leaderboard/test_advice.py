"""What is worth sending is better and different; what is chosen in the end is safe, then as different as can be."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kit.stages.leaderboard.advice import picks, worth_sending
from kit.stages.leaderboard.submission_diff import SubmittedAnswers
from kit.stages.submission.board import Entry, Key
from tests.stages.leaderboard.test_agreement import ENTRY

ROWS = 1000


def answers(changed: int) -> SubmittedAnswers:
    """A thousand rows, so many of which are answered otherwise than by `answers(0)`."""
    ids = tuple(str(row) for row in range(ROWS))
    return SubmittedAnswers(ids, tuple("b" if row < changed else "a" for row in range(ROWS)))


def board(
    *rows: tuple[float | None, float | None, int | None], better: str = "higher"
) -> tuple[list[Entry], dict[Key, SubmittedAnswers]]:
    """Entries of (cv, leaderboard, rows changed), None where there is no file."""
    pairs = [
        (replace(ENTRY, number=number, cv=cv, leaderboard=said, better=better), changed)
        for number, (cv, said, changed) in enumerate(rows, 1)
    ]
    return [entry for entry, _ in pairs], {
        entry.key: answers(changed) for entry, changed in pairs if changed is not None
    }


def test_better_and_different_ones_are_worth_it_best_first() -> None:
    sending = worth_sending(*board((0.5, 0.4, 0), (0.6, None, 100), (0.7, None, 200)), left=3)
    assert [one.entry.number for one in sending.worth] == [3, 2]
    assert sending.worth[0].why == "better by 0.2000 than 1, differs from 1, the nearest, by 20.00%"
    assert sending.worth[1].why == "better by 0.1000 than 1, differs from 1, the nearest, by 10.00%"
    assert [one.difference for one in sending.worth] == [0.2, 0.1]
    assert sending.others == ()


def test_what_is_worse_or_alike_or_unreadable_is_not() -> None:
    sending = worth_sending(
        *board((0.5, 0.4, 0), (0.6, None, 9), (0.5, None, 500), (0.9, None, None), (None, None, 700)), left=3
    )
    assert sending.worth == ()
    assert [(one.entry.number, one.why) for one in sending.others] == [
        (4, "its file is unreadable or was changed"),
        (2, "as good as 1, and differs from it by 0.90%"),
        (3, "not better than 1, 0.5000"),
        (5, "it has no CV score"),
    ]


def test_what_is_sent_first_counts_for_what_comes_after_it() -> None:
    sending = worth_sending(
        *board((0.5, 0.4, 0), (0.7, None, 100), (0.6, None, 105), (0.55, None, 50)), left=3
    )
    assert [one.entry.number for one in sending.worth] == [2, 4]
    assert sending.others[0].why == "as good as 2, and differs from it by 0.50%"


def test_no_more_than_are_left() -> None:
    sending = worth_sending(*board((0.5, None, 0), (0.7, None, 100), (0.6, None, 300)), left=2)
    assert [one.entry.number for one in sending.worth] == [2, 3]
    assert sending.worth[0].why == "no similar submission was made"
    assert [(one.entry.number, one.why) for one in sending.others] == [(1, "beyond the 2 submissions left")]


def test_a_lower_score_is_better_where_the_metric_says_so() -> None:
    sending = worth_sending(*board((0.5, 0.4, 0), (0.6, None, 100), (0.4, None, 200), better="lower"), left=3)
    assert [one.entry.number for one in sending.worth] == [3]


def test_the_second_pick_is_the_most_different_one_within_the_noise() -> None:
    rows = board((0.80, 0.7, 0), (0.79, 0.9, 300), (0.795, 0.7, 100), (0.70, 0.95, 900))
    chosen = picks(*rows, count=2, noise=0.015)
    assert [one.entry.number for one in chosen] == [1, 2]
    assert chosen[1].difference == 0.3
    assert "within the noise of 1" in chosen[1].why
    assert [one.entry.number for one in picks(*rows, count=2, noise=0.006)] == [1, 3]
    assert [one.entry.number for one in picks(*rows, count=3, noise=0.015)] == [1, 2, 3]


@pytest.mark.parametrize("noise", [None, 0.001])
def test_without_one_within_the_noise_the_next_best_is_picked(noise: float | None) -> None:
    chosen = picks(*board((0.80, None, 0), (0.79, None, 300), (0.795, None, 100)), count=2, noise=noise)
    assert [one.entry.number for one in chosen] == [1, 3]
    assert chosen[1].why == "the next best: by 10.00%"


def test_what_cannot_be_read_is_not_picked() -> None:
    assert picks(*board((0.8, None, None), (None, None, 5)), count=2, noise=1) == ()
    assert [one.entry.number for one in picks(*board((0.8, None, None), (0.7, None, 5)), 2, 1)] == [2]
