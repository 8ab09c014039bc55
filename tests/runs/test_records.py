"""kit runs: what is there, how far it has come, what it was made from; and a run that is begun again or made again."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from filelock import FileLock

from kit.commands._menu import run
from kit.config.workspace import Workspace
from kit.errors import BusyError, ConfigError
from kit.runs.archive import archive_run
from kit.runs.records import all_records, is_busy, record, resolve_run
from kit.runs.run import Run, commit
from kit.stages.training.train import train
from tests.conftest import Kit
from tests.stages.training.test_train import oof, same, weights


@pytest.fixture
def workspace(space: Path) -> Workspace:
    return Workspace.open(space)


def test_a_finished_run_is_a_line_with_its_scores(workspace: Workspace, kit: Kit) -> None:
    status, out, _ = kit("runs", "ls")
    assert status == 0
    heading, line = out.splitlines()
    assert heading.split()[:4] == ["run", "network", "px", "macro_f1"]
    scores = oof(workspace.root, "a").provenance.require_scores()
    assert line.split()[:4] == ["a", "small", "16", f"{scores['macro_f1']:.4f}"]
    assert "2/2" in line
    assert "finished" in line


def test_states_say_where_a_run_stopped(workspace: Workspace) -> None:
    one = Run(workspace.runs / "a")
    assert record(one).state == "finished"
    (one.predictions("plain") / "oof.parquet").unlink()
    assert record(one).state == "folds to be put together"
    one.fold_predictions_file(1).unlink()
    assert record(one).state == "stopped in fold 1 after epoch 2 of 2"
    shutil.copytree(one.fold(1) / "0001", one.fold(1) / "0002-000003")
    assert record(one).state == "stopped in fold 1 after epoch 2 of 2, step 3 of the next"
    shutil.rmtree(one.fold(1))
    assert record(one).state == "stopped before fold 1"
    shutil.rmtree(one.fold(0))
    assert record(one).state == "not trained"


def test_a_run_that_is_locked_is_busy_and_a_killed_processs_note_is_not(workspace: Workspace) -> None:
    one = Run(workspace.runs / "a")
    with one.lock():
        assert is_busy(one)
        assert record(one).state.startswith("busy: process ")
    (one.folder / "busy.json").write_text('{"pid": 1, "host": "h", "since": "then"}')
    assert not is_busy(one)
    with FileLock(one.folder / ".lock"):
        assert record(one).state == "busy: process 1 on h since then"


def test_what_is_damaged_of_a_run_is_a_blank_and_no_error(workspace: Workspace) -> None:
    for name in ("config.json", "folds.csv", "predictions/plain/oof.parquet", "manifest.json"):
        (workspace.runs / "a" / name).write_bytes(b"\xff damaged")
        (entry,) = all_records(workspace)
        assert entry.run.name == "a"
    assert (entry.network, entry.folds, dict(entry.scores)) == ("", 0, {})


def test_a_runs_page_has_what_it_was_made_from(workspace: Workspace, kit: Kit) -> None:
    status, out, _ = kit("runs", "show", "runs/a", "--json")
    shown = json.loads(out)
    assert status == 0
    assert shown["asked"]["epochs"] == 2
    assert shown["provenance"]["versions"].keys() >= {"python", "torch", "timm"}
    assert len(shown["provenance"]["plugins"]["loss/cross_entropy"]) == 64
    assert [Path(path).name for path in shown["checkpoints"]] == ["0001", "0002"] * 2
    assert kit("runs", "show", "a")[0] == 0
    status, _, said = kit("runs", "show", "b")
    assert status == 2
    assert "C15 no run 'b'" in said


def test_runs_are_listed_where_there_are_none(competition: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(competition)
    assert run(["runs", "ls"]) == 0
    with pytest.raises(ConfigError, match="kit train creates one"):
        resolve_run(Workspace.open(competition), "r")


def test_the_commit_of_the_teams_repository_is_written_down(tmp_path: Path) -> None:
    def git(*words: str) -> str:
        named = ["-c", "user.name=t", "-c", "user.email=t@t", "-c", "commit.gpgsign=false"]
        command = ["git", "-C", str(tmp_path), *named, *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    assert commit(tmp_path) is None
    git("init", "-q")
    assert commit(tmp_path) is None
    (tmp_path / "a").write_text("1")
    git("add", "a")
    git("commit", "-qm", "first")
    assert commit(tmp_path) == {"commit": git("rev-parse", "HEAD"), "dirty": False}
    (tmp_path / "a").write_text("2")
    assert commit(tmp_path) == {"commit": git("rev-parse", "HEAD"), "dirty": True}
    # what the repository's settings name is not run
    git("config", "core.fsmonitor", f"touch {tmp_path}/ran; false")
    commit(tmp_path)
    assert not (tmp_path / "ran").exists()


def test_a_machine_without_git_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert commit(tmp_path) is None


def test_a_runs_own_config_under_another_name_gives_the_same_bits(space: Path) -> None:
    train(space, name="b", config=space / "runs" / "a" / "config.json")
    for fold in (0, 1):
        assert same(weights(space, "a", fold), weights(space, "b", fold))


def test_fresh_keeps_what_was_there_and_trains_again(workspace: Workspace, kit: Kit) -> None:
    before = {file.name: file.read_bytes() for file in (workspace.runs / "a").rglob("*.parquet")}
    for number in (1, 2):
        status, _, said = kit("train", "--name", "a", "--restart", f"seed={number}")
        assert status == 0
        assert f"runs/a again; the old run is runs/a.replaced-{number}" in said
    kept = {file.name: file.read_bytes() for file in (workspace.runs / "a.replaced-1").rglob("*.parquet")}
    assert kept == before
    assert [one.run.name for one in all_records(workspace)] == ["a", "a.replaced-1", "a.replaced-2"]
    assert all(one.state == "finished" for one in all_records(workspace))
    assert Run(workspace.runs / "a").manifest["asked"]["seed"] == 2
    assert kit("train", "--name", "a", "--restart", "--dry-run")[0] == 2


def test_a_run_at_work_is_not_set_aside(workspace: Workspace) -> None:
    one = Run(workspace.runs / "a")
    assert archive_run(Run(workspace.runs / "none")) is None
    with FileLock(one.folder / ".lock"), pytest.raises(BusyError):
        archive_run(one)
    assert one.folder.is_dir()
