"""Doubtful labels: those that were planted wrong are named, with the class that they were."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kit.data.table import train_table
from kit.kinds.targets import MULTI_HOT
from kit.runs.records import RunRef, all_records
from kit.stages.reporting import member as member_module
from kit.stages.reporting.label_errors import find_suspects
from kit.stages.reporting.member import EvaluatedMember
from tests.approximate import approx
from tests.written_runs import competition


@pytest.fixture
def member(tmp_path: Path) -> EvaluatedMember:
    """Nine rows of three classes, all predicted correctly with .8, one fold per person."""
    workspace = competition(tmp_path)
    candidates = member_module.candidates(all_records(workspace), "accuracy")
    table = train_table(tmp_path, workspace.competition.data)
    return member_module.read(member_module.find_member(candidates, RunRef.parse("a", workspace)), table)


def test_a_label_that_was_planted_is_found_with_what_it_was(member: EvaluatedMember) -> None:
    labels = member.table.targets().copy()
    place = int(np.flatnonzero(member.table.ids == "t4")[0])
    assert labels[place] == 1
    labels[place] = 2
    planted = replace(member, table=replace(member.table, labels=labels))
    expected, ((row, one),) = find_suspects(planted)
    assert expected == pytest.approx(1.0)
    assert row == place
    assert (one.id, one.fold, one.labels, one.likely) == ("t4", 1, ("cat",), ("bee",))
    assert (one.of_label, one.of_likely) == (approx(0.1), approx(0.8))
    assert find_suspects(member) == (0.0, [])


def test_of_several_labels_a_wrong_yes_and_a_wrong_no_are_found(member: EvaluatedMember) -> None:
    truth = np.eye(3, dtype=np.int8)[member.table.targets()]
    shares = np.where(truth, 0.9, 0.1).astype(np.float32)
    extra, lacking = 0, 1
    shares[extra] = [0.1, 0.1, 0.1]  # what it is labelled is not there
    shares[lacking] = np.where(truth[lacking], 0.9, 0.95)  # others are there, and not labelled
    planted = replace(
        member, table=replace(member.table, labels=truth, target=MULTI_HOT), probabilities=shares
    )
    _, suspects = find_suspects(planted)
    yes = member.table.label_names(extra)[0]
    assert (extra, (f"not {yes}",)) in [(row, one.likely) for row, one in suspects]
    assert {one.likely for row, one in suspects if row == lacking} == {
        (name,) for name in member.table.classes if name not in member.table.label_names(lacking)
    }
