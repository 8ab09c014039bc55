"""docs/tutorial.md: every command of its console blocks is typed, in order, on a part of the digits."""

from __future__ import annotations

import csv
import json
import re
import shlex
from pathlib import Path

import pytest
from sklearn import datasets
from sklearn.utils import Bunch

from kit.commands._menu import run
from kit.stages.demo.digits import DEMO_CONFIG, make_digits
from tests.documented import DOCS, commands, parse

TEXT = (DOCS / "tutorial.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", TEXT, flags=re.DOTALL | re.MULTILINE)
SMALLER = {
    "epochs": 2,
    "splitter": {"name": "stratified_kfold", "folds": 2},
    "image_size": 16,
    "cache_size": 16,
    "precision": "float32",
    "backbone": {"name": "small", "width": 8, "stages": 2},
}


@pytest.fixture
def digits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The demo's workspace with 180 of its scans, smaller images, and two epochs of two folds."""
    whole = datasets.load_digits()
    part = Bunch(images=whole.images[:180], target=whole.target[:180])
    monkeypatch.setattr(datasets, "load_digits", lambda: part)
    make_digits(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({**DEMO_CONFIG, **SMALLER}))
    return tmp_path


def test_each_command_of_the_tutorial_does_what_it_is_there_for(
    digits: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(digits)
    for language, text in BLOCKS:
        if language == "csv":
            (digits / "classes.csv").write_text(text)
        for line in commands(text) if language == "console" else ():
            status = run(shlex.split(line))
            said = capsys.readouterr()
            assert status in ((0, 3) if line == "check" else (0,)), f"kit {line}\n{said.out}{said.err}"
    runs = {folder.name for folder in (digits / "runs").iterdir()}
    assert runs == set(
        re.findall(r"kit train --name (\w+)", "".join(t for kind, t in BLOCKS if kind == "console"))
    )
    assert len(list((digits / "submissions").glob("*.csv"))) == 4  # three submissions and the board
    assert (digits / "week.html").is_file()
    assert (digits / "augment.png").is_file()


def test_commands_that_are_for_larger_machines_are_taken_too() -> None:
    lines = [line for language, text in BLOCKS if language == "bash" for line in commands(text)]
    assert len(lines) == 2
    for line in lines:
        parse(line)


def test_the_classes_groups_name_each_digit() -> None:
    (text,) = [text for language, text in BLOCKS if language == "csv"]
    rows = list(csv.DictReader(text.splitlines()))
    assert sorted(row["digit"] for row in rows) == [str(number) for number in range(10)]
    assert len({row["shape"] for row in rows}) < 10
