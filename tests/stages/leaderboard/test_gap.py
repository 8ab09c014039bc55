"""What explains a gap to the leaderboard: luck first, then what kit check has found, and nothing that is a guess."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from kit.config.workspace import Workspace
from kit.errors import Case
from kit.runs.run import Run
from kit.stages.blending.blend import blend
from kit.stages.checks.finding import Finding
from kit.stages.checks.last_findings import last_findings, save_findings
from kit.stages.leaderboard.gap import Gap, explain_gap
from kit.stages.submission.board import Board
from tests.conftest import Kit
from tests.stages.leaderboard.test_agreement import QUIET, entries
from tests.written_runs import competition

LEAK = Finding(
    "K05", "problem", "52 pairs", "flatters", "data.group=auto", tuple(Case(str(n)) for n in range(9))
)
KNOWN = Finding("K06", "warning", "30 test rows", "known", "nothing")
SHIFT = Finding("K14", "warning", "AUC 0.9", "expect a gap", "augment")
ODD = Finding("K11", "note", "thin", "little", "pad")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return competition(tmp_path)


def gap_of(space: Workspace, cv: float, said: float, better: str = "higher") -> Gap:
    gap = explain_gap(space, entries([(cv, said)], better), QUIET)
    assert gap is not None
    return gap


def codes(gap: Gap) -> list[tuple[str, str]]:
    return [(one.kind, one.code) for one in gap.evidence]


def look(space: Workspace, folds: str = "") -> None:
    save_findings(space.root, folds or Run(space.runs / "a").folds().fingerprint(), [LEAK, KNOWN, SHIFT, ODD])


def test_a_gap_that_luck_gives_asks_for_no_evidence(workspace: Workspace) -> None:
    look(workspace)
    gap = gap_of(workspace, 0.5, 0.495)
    assert gap.sampling_noise == pytest.approx((-1.96 * 0.005, 1.96 * 0.005))
    assert gap.explained
    assert gap.evidence == ()


def test_a_leaderboard_that_is_worse_comes_from_leaks_in_the_folds_or_a_shift(workspace: Workspace) -> None:
    look(workspace)
    gap = gap_of(workspace, 0.5, 0.45)
    assert codes(gap) == [("leak", "K05"), ("shift", "K14")]
    assert gap.evidence[0].fix == "data.group=auto"
    assert codes(gap_of(workspace, 0.5, 0.55, "lower")) == codes(gap)


def test_a_leaderboard_that_is_better_comes_from_known_test_rows_or_a_shift(workspace: Workspace) -> None:
    look(workspace)
    assert codes(gap_of(workspace, 0.5, 0.55)) == [("leak", "K06"), ("shift", "K14")]


def test_what_was_found_of_other_folds_is_no_evidence_of_a_leak(workspace: Workspace) -> None:
    look(workspace, "f" * 64)
    gap = gap_of(workspace, 0.5, 0.45)
    assert codes(gap) == [("shift", "K14")]
    assert "used other folds" in gap.unknown


def test_without_a_look_nothing_is_guessed(workspace: Workspace) -> None:
    gap = gap_of(workspace, 0.5, 0.45)
    assert gap.evidence == ()
    assert gap.unknown.startswith("run kit check to look")
    save_findings(workspace.root, Run(workspace.runs / "a").folds().fingerprint(), [ODD])
    assert "found neither a leak nor a shift" in gap_of(workspace, 0.5, 0.45).unknown


def test_findings_are_kept_with_their_first_cases_and_damage_is_as_none(tmp_path: Path) -> None:
    assert last_findings(tmp_path) is None
    save_findings(tmp_path, "mark", [LEAK])
    read = last_findings(tmp_path)
    assert read is not None
    assert (read.folds, read.findings) == ("mark", (replace(LEAK, cases=LEAK.cases[:5]),))
    (tmp_path / "checked.json").write_text('{"made": 1}')
    assert last_findings(tmp_path) is None


def test_without_both_scores_or_noise_there_is_no_gap(workspace: Workspace) -> None:
    assert explain_gap(workspace, entries([(0.5, None)]), QUIET) is None
    assert explain_gap(workspace, entries([(0.5, 0.4)]), None) is None


def test_the_board_tells_it_and_gap_alone_gives_json(workspace: Workspace, kit: Kit) -> None:
    assert "no gap to explain: " in kit("board", "explain-gap")[2]
    blend(workspace, ["b"], name="b")  # wrong once in nine: one score of four rows is uncertain by .16
    Board.read(workspace.submissions).score(1, 0.1)
    look(workspace)
    _, _, said = kit("board")
    assert "gap of leaderboard and cv -0.7889, sampling noise -0.3" in said
    assert "  leak: K05 52 pairs\n    effect: flatters\n    fix: data.group=auto\n" in said
    report = json.loads(kit("board", "explain-gap", "--json")[1])
    assert [one["code"] for one in report["evidence"]] == ["K05", "K14"]
    assert report["explained"] is False
