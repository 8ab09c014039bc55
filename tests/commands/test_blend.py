"""kit blend and kit board: data on stdout, talk on stderr, an exit status for each mistake."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from kit.config.workspace import Workspace
from kit.stages.blending.blend import Submitted, blend
from tests.conftest import Kit
from tests.written_runs import competition


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return competition(tmp_path)


def test_the_command_prints_the_path_on_stdout_and_scores_on_stderr(kit: Kit, workspace: Workspace) -> None:
    status, out, err = kit("blend", "runs/a@d4", "runs/b", "--ensembler", "geometric", "--name", "x")
    assert status == 0
    assert out == f"{workspace.submissions / '0001-x.csv'}\n"
    lines = [line.split() for line in err.splitlines()]
    assert lines[0] == ["accuracy", "in-sample", "nested", "fold", "0", "fold", "1", "fold", "2"]
    assert lines[2] == ["b@plain", "0.8889", "0.8889", "1.0000", "0.6667", "1.0000"]
    assert "scored on 9 out-of-fold rows that all members predict" in err


def test_gains_are_shown_with_their_intervals_and_the_simpler_choice_is_named(kit: Kit) -> None:
    lines = kit("blend", "runs/a", "runs/b", "--ensembler", "hill_climb")[2].splitlines()
    assert [line.split()[0] for line in lines[1:5]] == ["a@plain", "b@plain", "mean", "blend"]
    assert lines[5].split() == ["weights:", "a@plain", "1"]
    assert "(95 % of 1000 draws of groups)" in lines[6]
    assert lines[8].split()[:2] == ["b@plain", "-0.1111"]  # right in 8 of 9 rows, a in all
    assert lines[10].split() == ["blend", "-", "-"]
    claims = "all weight is on a@plain, so the blend equals this member and has no gain; kit blend a@plain"
    assert claims in lines
    assert not any("is shown" in line for line in lines)
    lines = kit("blend", "runs/a", "runs/b")[2].splitlines()
    assert "the blend's gain over the best member is not significant: the interval includes 0" in lines
    beside = next(line for line in lines if line.startswith("over a@plain, the best member on all rows: "))
    assert beside.split(": ")[1].split()[0] == "-"  # the mean is right in all rows, as a is
    assert "simpler choice: a@plain alone, kit blend a@plain" in lines


def test_one_member_alone_is_compared_with_nothing(kit: Kit) -> None:
    said = kit("blend", "runs/b")[2]
    assert "gain" not in said
    assert [line.split()[0] for line in said.splitlines()[1:3]] == ["b@plain", "blend"]


def test_auto_says_what_it_chose(kit: Kit, workspace: Workspace) -> None:
    said = kit("blend", "runs/a", "runs/b", "--ensembler", "auto")[2]
    assert (
        "nested scores: single 1.0000, mean 1.0000, geometric 1.0000, simplex 1.0000, hill_climb 1.0000"
        in said
    )
    assert "chosen: single" in said
    record = json.loads(next(workspace.submissions.glob("0001-*.json")).read_text())
    chosen = record["ensembler"]["chosen"]
    assert (chosen["name"], chosen["metric"]["name"], chosen["member"]) == ("single", "accuracy", 0)


def test_the_command_speaks_json(kit: Kit) -> None:
    status, out, _ = kit("blend", "a", "b", "ensembler=weighted", "ensembler.weights=[3,1]", "--json")
    said = json.loads(out)
    assert status == 0
    assert (said["number"], said["cv"], said["format"], said["rows"]) == (1, 1, "label", 9)
    assert [score["name"] for score in said["scores"]] == ["a@plain", "b@plain", "blend"]


def test_options_of_the_ensembler_follow_its_name(kit: Kit, workspace: Workspace) -> None:
    assert kit("blend", "a", "b", "--ensembler", "weighted", "ensembler.weights=[3,1]")[0] == 0
    record = json.loads(next(workspace.submissions.glob("0001-*.json")).read_text())
    assert record["ensembler"] == {"name": "weighted", "weights": [3, 1]}
    status, _, err = kit("blend", "a", "--ensembler", "mean", "ensembler=rank")
    assert (status, "give either --ensembler or ensembler=" in err) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["runs/a@flip"], 4, "try: kit tta --checkpoints runs/a --views flip"),
        (["runs/x"], 2, "no run 'runs/x'"),
        (["runs/a", "--ensembler", "maen"], 2, "no ensembler named 'maen'; did you mean 'mean'?"),
        (["runs/a", "--top-k", "3"], 2, "no ranked labels for --top-k"),
        ([], 2, "Missing argument"),
    ],
)
def test_mistakes_have_their_exit_status(arguments: list[str], status: int, words: str, kit: Kit) -> None:
    exit_status, out, err = kit("blend", *arguments)
    assert (exit_status, out) == (status, "")
    assert words in err
    assert "Traceback" not in err


def test_top_k_labels_stand_in_one_cell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "ranked"
    workspace = competition(root, cells=",ant bee")
    submitted = blend(workspace, ["a", "b"], top_k=3)
    assert isinstance(submitted, Submitted)
    assert submitted.path.read_text().splitlines()[1:3] == ["007,ant bee cat", "1e5,bee cat ant"]


def test_what_the_system_refuses_is_said_with_the_file(kit: Kit, workspace: Workspace) -> None:
    workspace.submissions.write_text("a file where a folder is wanted")
    status, _, err = kit("blend", "a")
    assert (status, err.splitlines()[-1]) == (1, f"error: {workspace.submissions}: File exists")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no full device")
def test_an_output_that_is_full_is_said(workspace: Workspace) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "kit", "config", "schema"],
            cwd=workspace.root,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.stderr.startswith("error: the output: No space left on device")
    assert "Traceback" not in done.stderr


def test_bad_data_is_counted_and_the_list_named(kit: Kit, workspace: Workspace) -> None:
    table = workspace.root / "data" / "train.csv"
    table.write_text(table.read_text().replace("t1,", "t0,"))
    status, _, err = kit("blend", "a")
    assert (status, err.splitlines()[-1]) == (3, f"1 case listed in {workspace.root / 'quarantine.csv'}")


def test_the_board_shows_the_ranking(kit: Kit) -> None:
    for name in ("b", "a"):
        kit("blend", name)
    status, out, _ = kit("board")
    assert status == 0
    assert [line.split()[:5] for line in out.splitlines()] == [
        ["rank", "number", "name", "metric", "cv"],
        ["1", "2", "mean-a", "accuracy", "1.0000"],
        ["2", "1", "mean-b", "accuracy", "0.8889"],
    ]


def test_the_board_records_what_the_leaderboard_said(kit: Kit) -> None:
    kit("blend", "a")
    assert "0.8123" in kit("board", "score", "1", "0.8123")[1]
    said = json.loads(kit("board", "--json")[1])
    assert (said[0]["number"], said[0]["leaderboard"]) == (1, 0.8123)
    status, out, err = kit("board", "score", "7", "0.5")
    assert (status, out) == (2, "")
    assert "no submission 7 on the board" in err


def test_an_empty_board_says_so(kit: Kit) -> None:
    status, out, err = kit("board")
    assert (status, out) == (0, "")
    assert "kit blend creates one" in err
    assert kit("board", "--json")[1] == "[]\n"


def test_a_score_may_be_below_zero(kit: Kit) -> None:
    kit("blend", "a")
    status, out, _ = kit("board", "score", "1", "-0.5", "--force", "--json")
    assert (status, json.loads(out)[0]["leaderboard"]) == (0, -0.5)
