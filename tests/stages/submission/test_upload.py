"""Only what kit wrote is offered for upload; what was changed since is restored by the command that made it."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from kit.commands._menu import run
from kit.config.workspace import Workspace
from tests.written_runs import competition

Captured = pytest.CaptureFixture[str]
FILE = Path("submissions/0001-x.csv")


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.chdir(tmp_path)
    return competition(tmp_path)


def hint_of(said: str) -> list[str]:
    """The command of a hint, as a shell reads it, without `kit`."""
    line = next(line for line in said.splitlines() if line.startswith("try: kit blend"))
    return shlex.split(line.removeprefix("try: ").partition(" restores it")[0])[1:]


@pytest.mark.usefixtures("workspace")
@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--ensembler", "geometric"],
        ["ensembler=weighted", "ensembler.weights=[2,1]"],
        ["ensembler=hill_climb"],
    ],
    ids=["mean", "geometric", "weighted", "hill_climb"],
)
def test_a_submission_that_was_changed_is_not_offered_and_blend_restores_it(
    options: list[str], capsys: Captured
) -> None:
    assert run(["blend", "a@d4", "b", *options, "--name", "x"]) == 0
    whole = FILE.read_bytes()
    FILE.write_bytes(whole.replace(b"007", b"7"))  # as a spreadsheet does
    capsys.readouterr()
    assert run(["submission", "upload-command", "1"]) == 4
    said = capsys.readouterr()
    assert said.out == ""
    assert "D74" in said.err
    assert "0001-x.csv was changed on disk: its sha256 differs from its record" in said.err
    assert run(hint_of(said.err)) == 0
    assert "W57" in capsys.readouterr().err
    assert FILE.read_bytes() == whole
    assert Path("submissions/0001-x.changed.csv").read_bytes() == whole.replace(b"007", b"7")
    assert run(["submission", "upload-command", "1"]) == 0


@pytest.mark.usefixtures("workspace")
def test_each_changed_file_is_kept(capsys: Captured) -> None:
    assert run(["blend", "a", "--name", "x"]) == 0
    for change in (b"one", b"two"):
        FILE.write_bytes(change)
        assert run(["blend", "a", "--name", "x"]) == 0
    kept = [Path(f"submissions/0001-x.{name}.csv").read_bytes() for name in ("changed", "changed-2")]
    assert kept == [b"one", b"two"]
    assert run(["board", "undo"]) == 0
    assert [file.name for file in Path("submissions").glob("0001*")] == []
    assert capsys.readouterr().err


@pytest.mark.usefixtures("workspace")
def test_line_ends_alone_are_no_change() -> None:
    assert run(["blend", "a", "--name", "x"]) == 0
    FILE.write_bytes(FILE.read_bytes().replace(b"\n", b"\r\n"))
    assert run(["submission", "upload-command", "1"]) == 0


@pytest.mark.usefixtures("workspace")
def test_the_board_leaves_a_changed_submission_aside(capsys: Captured) -> None:
    assert run(["blend", "a", "--name", "x"]) == 0
    assert run(["blend", "b", "--name", "y"]) == 0
    FILE.write_text("id,label\n7,ant\n")
    capsys.readouterr()
    assert run(["board", "choose-final", "2", "--json"]) == 0
    said = capsys.readouterr()
    assert [one["entry"]["number"] for one in json.loads(said.out)] == [2]
    assert "W57" in said.err
    assert run(["board", "--submissions-left", "2", "--json"]) == 0
    sending = json.loads(capsys.readouterr().out)
    assert [one["entry"]["number"] for one in sending["worth"]] == [2]
    assert [one["why"] for one in sending["others"]] == ["its file is unreadable or was changed"]


def test_a_submission_of_final_networks_is_made_again_by_kit_final(
    workspace: Workspace, capsys: Captured
) -> None:
    assert run(["blend", "a", "--name", "x"]) == 0
    record = FILE.with_suffix(".json")
    record.write_text(json.dumps({**json.loads(record.read_text()), "final": {}}))
    FILE.write_text("")
    assert run(["submission", "upload-command", "1"]) == 4
    assert "try: the same kit final command restores it" in capsys.readouterr().err
