"""kit board tells how its numbers stand, what to send, what to choose, and what differs."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from kit.config.workspace import Workspace
from kit.core.files import sha256
from kit.errors import KitWarning
from kit.stages.blending.blend import Submitted, blend
from kit.stages.submission.board import Board
from tests.conftest import Kit
from tests.written_runs import TEST, competition, write_run


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Submissions 1 to 3 of accuracy 1, 8/9 and 2/3, all of the same answers."""
    space = competition(tmp_path, data={"group": None})
    write_run(tmp_path, "c", wrong=[0, 4, 8])
    for member in ("a", "b", "c"):
        blend(space, [member], name=member)
    return space


def answer(workspace: Workspace, file: str, *labels: str) -> None:
    """Gives a submission other answers, as if kit had written them."""
    rows = [f'"{name}",{label}' for name, label in zip(TEST, labels, strict=True)]
    path = workspace.submissions / file
    path.write_text("\n".join(["id,label", *rows]) + "\n")
    record = json.loads(path.with_suffix(".json").read_text())
    path.with_suffix(".json").write_text(json.dumps({**record, "sha256": sha256(path)}))


def test_the_noise_is_reported_with_its_method_and_source(kit: Kit) -> None:
    (line,) = kit("board")[2].splitlines()  # submission 1 is always right, which has no noise
    match = re.fullmatch(
        r"noise of accuracy, one standard error: (0\.\d{4}) on 4 test rows \(1000 bootstrap draws of the out-of-fold "
        r"rows of submission 2; public_share in config.json splits the test rows\)",
        line,
    )
    assert match is not None
    assert float(match[1]) == pytest.approx((8 / 81 / 4) ** 0.5, rel=0.1)


def test_the_parts_of_the_test_set_are_distinguished(kit: Kit, workspace: Workspace) -> None:
    config = json.loads((workspace.root / "config.json").read_text())
    (workspace.root / "config.json").write_text(json.dumps({**config, "public_share": 0.25}))
    assert re.search(
        r"0\.\d{4} on 4 test rows, 0\.\d{4} on 1 public rows, 0\.\d{4} on 3 private rows", kit("board")[2]
    )


def test_where_predictions_are_gone_another_submission_serves_or_the_reason_is_reported(
    kit: Kit, workspace: Workspace
) -> None:
    for name in ("a", "b"):
        (workspace.runs / name / "predictions/plain/oof.parquet").unlink()
    assert "of submission 3;" in kit("board")[2]
    (workspace.runs / "c" / "predictions/plain/oof.parquet").unlink()
    status, out, err = kit("board")
    assert (status, len(out.splitlines())) == (0, 4)
    assert "unknown noise of the scores: D41 a has no predictions of views 'plain'" in err


def test_scores_are_compared_once_there_are_three(kit: Kit) -> None:
    kit("board", "score", "1", "0.9")
    err = kit("board", "score", "2", "0.8")[2]
    assert err.splitlines()[0] == "2 submissions have a leaderboard score: -0.0944 against cv (median)"
    err = kit("board", "score", "3", "0.7")[2]
    assert err.splitlines()[0] == (
        "3 submissions have a leaderboard score: -0.0889 against cv (median), trend +0.0667 per submission "
        "(Theil-Sen, p = 0.33), rank correlation 1.00 (Spearman)"
    )


def test_it_warns_where_cross_validation_and_leaderboard_disagree(kit: Kit, workspace: Workspace) -> None:
    blend(workspace, ["c"], name="again")
    for number, value in (("1", "0.2"), ("2", "0.3"), ("3", "0.4"), ("4", "0.4")):
        err = kit("board", "score", number, value)[2]
    assert "warning: W18 cross-validation and leaderboard disagree: the leaderboard is worse" in err
    assert "leaderboard and cross-validation rank submissions differently, correlation -1.00" in err
    assert "  check: folds that do not resemble the train/test split" in err


def test_what_is_worth_a_submission_is_on_stdout(kit: Kit, workspace: Workspace) -> None:
    kit("board", "score", "3", "0.6")
    answer(workspace, "0001-a.csv", "ant", "ant", "ant", "ant")
    status, out, err = kit("board", "--submissions-left", "2")
    assert status == 0
    assert (
        "1  a     1.0000               better by 0.3333 than 3, differs from 3, the nearest, by 50.00%" in out
    )
    assert "not recommended: 2 b: as good as 3, and differs from it by 0.00%" in err
    said = json.loads(kit("board", "--submissions-left", "2", "--json")[1])
    assert [one["entry"]["number"] for one in said["worth"]] == [1]
    assert [one["entry"]["number"] for one in said["others"]] == [2]
    assert (said["agreement"]["scored"], said["noise"]["test"][0]) == (1, 4)
    for number in ("1", "2"):
        kit("board", "score", number, "0.6")
    assert "no submission on the board is recommended" in kit("board", "--submissions-left", "2")[2]


def test_the_final_two_are_the_best_and_the_most_different_within_the_noise(
    kit: Kit, workspace: Workspace
) -> None:
    blend(workspace, ["b"], name="other")  # the noise is 0.16 on four rows, and b is 0.11 worse than a
    answer(workspace, "0004-other.csv", "ant", "bee", "ant", "bee")
    answer(workspace, "0003-c.csv", "cat", "cat", "ant", "bee")
    status, out, err = kit("board", "choose-final", "2", "--json")
    assert status == 0
    assert [(one["entry"]["number"], one["difference"]) for one in json.loads(out)] == [(1, None), (4, 0.5)]
    kit("board", "score", "1", "0.9")
    out, err = kit("board", "choose-final", "2")[1:]
    assert re.findall(r"^ +(\d) ", out, flags=re.MULTILINE) == ["1", "4"]
    assert "within the noise of 1" in out
    assert "perhaps not submitted yet, because no leaderboard score is recorded: 4" in err


def test_undo_takes_the_last_one_back_unless_it_was_sent(kit: Kit, workspace: Workspace) -> None:
    status, out, err = kit("board", "undo")
    assert status == 0
    assert [line.split()[1] for line in out.splitlines()[1:]] == ["1", "2"]
    assert "0003-c.csv and its record are in" in err
    kept = sorted(file.name for file in (workspace.submissions / "undone").iterdir())
    assert kept == ["0003-c.csv", "0003-c.json"]
    assert not (workspace.submissions / "0003-c.csv").exists()
    new = blend(workspace, ["c"], name="new")
    assert isinstance(new, Submitted)
    assert new.number == 3
    kit("board", "score", "3", "0.5")
    status, _, err = kit("board", "undo")
    assert status == 2
    assert "C22 submission 3 has a leaderboard score and stays on the board" in err
    assert len(Board.read(workspace.submissions).entries) == 3


def test_undo_of_an_empty_board_says_so(kit: Kit, workspace: Workspace) -> None:
    for _ in range(3):
        assert kit("board", "undo")[0] == 0
    status, _, err = kit("board", "undo")
    assert status == 2
    assert "C22 no submission on the board" in err


def test_diff_lists_the_rows_that_differ_by_class(
    kit: Kit, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kit.commands._leaderboard.MAX_LISTED_IDS", 2)
    answer(workspace, "0002-b.csv", "ant", "cat", "cat", "bee")
    answer(workspace, "0003-c.csv", "ant", "bee", "cat", "ant")
    status, out, err = kit("board", "diff", "2", "3")
    assert status == 0
    assert [line.split() for line in out.splitlines()] == [
        ["rows", "0002-b", "0003-c", "such", "as"],
        ["1", "bee", "ant", "a,b"],
        ["1", "cat", "bee", "1e5"],
    ]
    assert err == "2 of 4 rows differ, 50.0%; difference 0.5000\n"
    assert json.loads(kit("board", "diff", "2", "0003-c", "--json")[1]) == {
        "rows": 2,
        "difference": 0.5,
        "changes": [
            {"before": "bee", "after": "ant", "ids": ["a,b"]},
            {"before": "cat", "after": "bee", "ids": ["1e5"]},
        ],
    }
    monkeypatch.setattr("kit.commands._leaderboard.MAX_LISTED_IDS", 1)
    out, err = kit("board", "diff", "2", "3")[1:]
    assert (len(out.splitlines()), err.splitlines()[0]) == (2, "… and 1 more pairs; --json lists all")
    assert kit("board", "diff", "2", "2")[1:] == ("", "0 of 4 rows differ, 0.0%; difference 0.0000\n")
    assert kit("board", "diff", "2", "9")[0] == 2


def test_other_metrics_submissions_are_shown_and_not_compared(kit: Kit, workspace: Workspace) -> None:
    config = json.loads((workspace.root / "config.json").read_text())
    (workspace.root / "config.json").write_text(json.dumps({**config, "metric": "log_loss"}))
    status, out, err = kit("board", "--submissions-left", "1")
    assert (status, len(out.splitlines())) == (0, 4)
    assert err == "no submission on the board is recommended for today\n"


@pytest.fixture
def partial(workspace: Workspace) -> Workspace:
    """Submission 4 is right in all of the six rows that it covers; 1 is right in all nine, so in these as well."""
    write_run(workspace.root, "d", rows=range(6))
    config = json.loads((workspace.root / "config.json").read_text())
    (workspace.root / "config.json").write_text(json.dumps({**config, "public_share": 0.5}))
    with pytest.warns(KitWarning, match="W10"):
        blend(Workspace.open(workspace.root), ["b", "d"], name="partial")
    return workspace


def test_a_score_of_other_rows_has_no_rank_and_says_so(kit: Kit, partial: Workspace) -> None:
    _, out, err = kit("board")
    lines = [line.split() for line in out.splitlines()]
    assert lines[0][:6] == ["rank", "number", "name", "metric", "cv", "rows"]
    assert [line[:2] for line in lines[1:4]] == [["1", "1"], ["2", "2"], ["3", "3"]]
    assert lines[4][:5] == ["4", "partial", "accuracy", "1.0000", "6"]
    assert "not ranked, because they were scored on different rows: 4 (6 rows)" in err
    said = json.loads(kit("board", "--json")[1])
    assert [(one["number"], one["rank"], one["rows"]) for one in said][-1] == (4, None, 6)


def test_a_blend_of_fewer_rows_says_what_its_rank_is_among(kit: Kit, partial: Workspace) -> None:
    err = kit("blend", "d", "--name", "again")[2]
    scored = "scored on 6 out-of-fold rows that all members predict; submission 5: 4 rows, format label, "
    assert f"{scored}not ranked on the board: 3 submissions were scored on other rows" in err
    assert (
        "rank 2 on the board, not counting 2 scored on other rows" in kit("blend", "a", "--name", "whole")[2]
    )


def test_a_score_of_other_rows_is_sent_never_and_picked_last_with_a_mark(
    kit: Kit, partial: Workspace
) -> None:
    assert (
        json.loads(kit("board", "--submissions-left", "1", "--json")[1])["worth"][0]["entry"]["number"] == 1
    )
    why = "not comparable: it was scored on 6 other rows"
    err = kit("board", "--submissions-left", "9")[2]
    assert f"not recommended: 4 partial: {why}" in err
    picked = json.loads(kit("board", "choose-final", "2", "--json")[1])
    assert 4 not in {one["entry"]["number"] for one in picked}
    picked = json.loads(kit("board", "choose-final", "9", "--json")[1])
    assert (picked[-1]["entry"]["number"], picked[-1]["why"]) == (4, why)


def test_cross_validation_is_compared_with_the_leaderboard_on_the_same_rows(
    kit: Kit, partial: Workspace
) -> None:
    for number, value in (("1", "0.9"), ("2", "0.8"), ("4", "0.1")):
        err = kit("board", "score", number, value)[2]
    assert "2 submissions have a leaderboard score: -0.0944 against cv (median)" in err
