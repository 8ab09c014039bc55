"""The summary: the best that compares, what is wrong in its order, and the next command that helps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from kit.evaluation.bootstrap import Gain
from kit.kinds import Metric
from kit.runs.run import Run
from kit.stages.reporting.facts import Facts, Missing, Submission
from kit.stages.reporting.member import Candidate, best_member
from kit.stages.reporting.row_facts import ClassScore
from kit.stages.reporting.summary import Sections, harmful_members, summarise, weak_classes
from tests.drawn_facts import drawn_facts

F1 = Metric.open("macro_f1")


def candidate(name: str, rows: int, score: float | None) -> Candidate:
    return Candidate(Run(Path("runs") / name), "plain", rows, score)


def sections(facts: Facts) -> Sections:
    return Sections(facts.data, facts.runs, facts.evaluation, facts.views, facts.blend, facts.board)


def test_the_best_of_few_rows_does_not_count_beside_those_of_many() -> None:
    members = [candidate("small", 50, 0.99), candidate("a", 1000, 0.8), candidate("b", 950, 0.85)]
    chosen = best_member(members, F1)
    assert chosen is not None
    assert chosen.run.name == "b"
    lower = best_member(members[1:], Metric.open("log_loss"))
    assert lower is not None
    assert lower.run.name == "a"
    assert best_member([candidate("c", 10, None)], F1) is None


def test_a_submission_of_few_rows_is_not_the_best_either() -> None:
    facts = drawn_facts()
    summary = summarise(F1, candidate("a", 1000, 0.8), [(1, 50), (2, 1000), (3, 1000)], sections(facts))
    assert summary.best.startswith("submission 2")
    assert summary.cv == 0.88
    assert summary.leaderboard == pytest.approx(0.83)


@pytest.mark.parametrize(("score", "is_advised"), [(0.88, False), (0.895, False), (0.92, True)])
def test_a_member_is_advised_if_it_is_ahead_by_more_than_the_noise(score: float, is_advised: bool) -> None:
    """The best submission has .89, the noise is .01."""
    summary = summarise(F1, candidate("a", 1000, score), [], sections(drawn_facts()))
    assert any(step.command == "kit blend runs/a@plain" for step in summary.steps) is is_advised


def test_a_member_that_makes_the_mean_worse_is_reported_and_left_out() -> None:
    facts = drawn_facts()
    assert not isinstance(facts.blend, Missing)
    one, other = facts.blend.members
    worse = replace(one, name="bad@plain", gain=Gain("without", -0.02, -0.03, -0.01))
    facts = replace(facts, blend=replace(facts.blend, members=(worse, replace(other, name="good@plain"))))
    assert harmful_members(facts.blend) == ["bad@plain"]
    summary = summarise(F1, None, [], sections(facts))
    assert any("bad@plain makes the plain mean" in wrong.text for wrong in summary.wrong)
    assert any(step.command == "kit blend runs/good@plain" for step in summary.steps)


def test_problems_come_before_warnings_and_stopped_runs_stand_in_one_line() -> None:
    facts = drawn_facts()
    assert not isinstance(facts.runs, Missing)
    stopped = tuple(replace(run, state="stopped in fold 0 after epoch 3 of 40") for run in facts.runs)
    summary = summarise(F1, None, [], sections(replace(facts, runs=stopped)))
    levels = ["problem", "warning", "note"]
    assert [one.level for one in summary.wrong] == sorted(
        (one.level for one in summary.wrong), key=levels.index
    )
    assert summary.wrong[0].level == "problem"
    assert "3 runs are not finished: drawn0, drawn1, drawn2" in [one.text for one in summary.wrong]


def test_an_unsent_board_asks_for_its_best_to_be_sent() -> None:
    facts = drawn_facts()
    assert not isinstance(facts.board, Missing)
    unsent = (Submission(1, 7, "m", 0.9, None, "a@plain", "mean", ""),)
    board = replace(facts.board, submissions=unsent, scored=0)
    summary = summarise(F1, None, [], sections(replace(facts, board=board)))
    assert summary.steps[-1].command == "kit board score 7 SCORE"


def test_weak_classes_have_less_than_half_of_the_mean_f1() -> None:
    scores = {"a": 0.9, "b": 0.9, "c": 0.3, "d": 0.1}  # the mean is .55
    classes = [ClassScore(name, 5, f1, f1, f1) for name, f1 in scores.items()]
    assert weak_classes([*classes, ClassScore("none", 0, None, None, None)]) == ["d"]
