"""Nothing is written beside the data: every command works on a competition that is read-only and elsewhere."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from kit.commands._menu import run
from kit.stages.discovery.initialise import initialise
from tests.drawing import CONFIG, draw_competition

COMMANDS = (
    "check",
    "train --name r",
    "tta --checkpoints runs/r --views hflip",
    "blend runs/r@hflip --name first",
    "report --out report.html",
    "submission check submissions/0001-first.csv",
)


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A competition's files in a folder in which nothing can be written, unless by root."""
    folder = draw_competition(tmp_path / "there") / "data"
    for path in (*folder.rglob("*"), folder):
        path.chmod(0o555 if path.is_dir() else 0o444)
    yield folder
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755)


def contents(folder: Path) -> dict[str, tuple[int, str]]:
    """The time of the last change and the content's hash of everything in a folder."""
    state = {}
    for path in (folder, *sorted(folder.rglob("*"))):
        content = b"" if path.is_dir() else path.read_bytes()
        state[str(path)] = (path.stat().st_mtime_ns, hashlib.sha256(content).hexdigest())
    return state


def test_no_command_writes_beside_the_data(
    read_only: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(read_only)
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    initialise(work, "scratch", {"group": "auto"}, source="../there/data")
    config = json.loads((work / "config.json").read_text())
    splitter = {"name": "stratified_group_kfold", "folds": 2}
    (work / "config.json").write_text(json.dumps({**config, **CONFIG, "splitter": splitter}))
    for command in COMMANDS:
        import time

        t = time.time()
        assert run(command.split()) == 0, command
        print("TIME", command, time.time() - t)
    assert contents(read_only) == before
    assert sorted(path.name for path in read_only.parent.iterdir()) == ["config.json", "data"]
