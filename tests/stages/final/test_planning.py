"""Which networks fit into a time, worked out by hand."""

from __future__ import annotations

from dataclasses import dataclass

from kit.stages.final.planning import rank_by_importance, select_fitting


@dataclass(frozen=True)
class Job:
    name: str
    cost: float


def test_the_run_whose_loss_costs_the_blend_least_goes_first() -> None:
    """Worths 3, 1, 2 that add up: 1 goes first, then 2, and 3 is needed most."""
    worth = (3.0, 1.0, 2.0)
    assert rank_by_importance(3, lambda some: sum(worth[place] for place in some)) == [0, 2, 1]


def test_a_twin_is_needed_less_than_its_score_says() -> None:
    """Alone 0 and 1 are the best two, but they say the same: beside one of them 2 is worth more."""

    def score(some: tuple[int, ...]) -> float:
        return max((5.0 for place in some if place < 2), default=0.0) + (1.0 if 2 in some else 0.0)

    assert rank_by_importance(3, score) == [0, 2, 1]


def test_what_is_too_long_does_not_keep_a_shorter_one_away() -> None:
    jobs = [Job("a", 4), Job("b", 7), Job("c", 5)]
    assert [job.name for job in select_fitting(jobs, 9)] == ["a", "c"]
    assert [job.name for job in select_fitting(jobs, 3.9)] == []
    assert [job.name for job in select_fitting(jobs, float("inf"))] == ["a", "b", "c"]
