"""Blends of members without folds: weights that are given, no score, and one entry on the board."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from kit.config.workspace import Workspace
from kit.errors import ConfigError, DataError, InvalidError
from kit.stages.blending.blend import blend
from kit.stages.blending.unscored import UnscoredSubmission
from kit.stages.submission.board import Board
from tests.written_runs import TEST, answer_competition, competition, without_folds, write_run


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return without_folds(competition(tmp_path))


def submit(
    workspace: Workspace,
    ensembler: str | Mapping[str, Any] | None = None,
    name: str | None = None,
    top_k: int | None = None,
) -> UnscoredSubmission:
    result = blend(workspace, ["a", "b"], ensembler, name, top_k)
    assert isinstance(result, UnscoredSubmission)
    return result


def test_test_rows_are_blended_and_entered_without_a_score(workspace: Workspace) -> None:
    submitted = submit(workspace)
    assert submitted.path == workspace.submissions / "0001-mean-a-b.csv"
    assert submitted.path.read_text() == 'id,label\n007,ant\n1e5,bee\nNA,bee\n"a,b",ant\n'
    assert (submitted.members, submitted.unverified) == (("a@plain", "b@plain"), ("b@plain",))
    record = json.loads(submitted.record.read_text())
    assert (record["unverified"], record["decision"], record["rows"]) == (["b@plain"], None, 0)
    (entry,) = Board.read(workspace.submissions).entries
    assert (entry.cv, entry.rows, entry.notes) == (None, 0, "no score: members without folds")
    assert submit(workspace, name="first").path.name == "0002-first.csv"


def test_the_text_says_why_there_is_no_score_and_the_table_which_member(workspace: Workspace) -> None:
    submitted = submit(workspace)
    assert repr(submitted).splitlines() == [
        "submission 1: 4 rows, format label",
        "no score: b@plain came without folds, so kit cannot cross-validate the blend",
    ]
    assert repr(submit(workspace)).splitlines()[0] == "submission 1: 4 rows, format label, as before"
    assert submitted.to_frame().to_dict("list") == {
        "member": ["a@plain", "b@plain"],
        "has_folds": [True, False],
    }


def test_progress_has_one_of_two_parts(workspace: Workspace) -> None:
    steps = list(blend.with_progress(workspace, ["a", "b"]))
    assert [(step.done, step.total) for step in steps] == [(1, 2)]


def test_weights_are_those_given(tmp_path: Path) -> None:
    workspace = without_folds(competition(tmp_path, header="id,ant,bee,cat", cells=",0.3,0.3,0.4"))
    submitted = submit(workspace, {"name": "weighted", "weights": [3, 1]})
    # row 1: a says .8 and .1 by its two folds, b .6 and .2
    row = pd.read_csv(submitted.path, dtype={"id": str}).iloc[1]
    assert row["bee"] == pytest.approx((3 * 0.45 + 0.4) / 4)


def test_what_is_fitted_is_refused_with_one_weight_for_each_member(workspace: Workspace) -> None:
    with pytest.raises(
        ConfigError, match=r"C80 ensembler 'hill_climb' is fitted .* and b@plain has none"
    ) as caught:
        submit(workspace, "hill_climb")
    assert caught.value.hint == "ensembler=mean, or ensembler=weighted ensembler.weights=[1,1]"
    assert not workspace.submissions.exists()


def test_members_must_fit_together(workspace: Workspace) -> None:
    write_run(workspace.root, "a", test=[*TEST[:3], "x"])
    with pytest.raises(InvalidError, match="D43 a@plain and b@plain predict different test sets"):
        submit(workspace)


def test_a_board_that_cannot_be_read_stops_the_blend_before_it_writes(workspace: Workspace) -> None:
    workspace.submissions.mkdir()
    (workspace.submissions / "board.csv").write_text("x,y\n1,2\n")
    with pytest.raises(DataError, match="D37"):
        submit(workspace)
    assert [file.name for file in workspace.submissions.iterdir()] == ["board.csv"]


def test_images_are_joined_into_answers(tmp_path: Path) -> None:
    submitted = submit(without_folds(answer_competition(tmp_path, aggregator="max")))
    assert submitted.test_rows == 2
    # x: a says ant .8, bee .8, cat .1 by one fold, and bee and cat swapped by the other; b .6 .6 .2
    row = pd.read_csv(submitted.path).iloc[0]
    assert row[["ant", "bee"]].tolist() == pytest.approx(
        [(0.8 / 1.7 + 0.6 / 1.4) / 2, (0.45 / 1.7 + 0.4 / 1.4) / 2]
    )


def test_an_aggregator_with_a_fitted_option_is_refused(tmp_path: Path) -> None:
    workspace = without_folds(answer_competition(tmp_path, aggregator="top_k_mean"))
    with pytest.raises(
        ConfigError, match=r"C80 aggregator 'top_k_mean' has an option .* and b@plain has none"
    ):
        submit(workspace)
    assert not workspace.submissions.exists()
