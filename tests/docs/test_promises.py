"""docs/promises.md: each promise names a test that checks it and its code; and a few that no other file shows."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path

import pytest

from kit.commands._menu import run
from kit.core.error_codes import codes

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "promises.md").read_text()
CELL = r"((?:[^|\\]|\\.)+)"
ROWS = re.findall(rf"^\| {CELL} \| (?:(\S+(?: \S+)*) \| )?([\w/]+)::(\w+) \|$", PAGE, flags=re.MULTILINE)


@lru_cache
def definitions(file: Path) -> Mapping[str, ast.stmt]:
    """The functions, classes and constants of a test module by name."""
    nodes: dict[str, ast.stmt] = {}
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            nodes[node.name] = node
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                nodes |= {name.id: node for name in ast.walk(target) if isinstance(name, ast.Name)}
    return nodes


def text_of(file: Path, test: str) -> str:
    """A test with its decorators and with all definitions of its module that it uses, as source text."""
    known, texts, open_names, seen = definitions(file), [], [test], {test}
    while open_names:
        node = known[open_names.pop()]
        texts.append(ast.unparse(node))
        names = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
        names |= {part.arg for part in ast.walk(node) if isinstance(part, ast.arg)}  # fixtures
        open_names += sorted(names & set(known) - seen)
        seen |= names
    return "\n".join(texts)


CHECKS = re.compile(r"\bassert\b|pytest\.(raises|warns)\(|testing\.assert_")


def broken_promise(code: str, file: Path, test: str) -> str:
    """Why a test cannot show a promise; empty if it can."""
    if test not in definitions(file):
        return f"{file.name} has no {test}"
    text = text_of(file, test)
    if re.search(r"@pytest\.mark\.(skip|xfail)\b", text):
        return f"{test} never runs or may fail"
    if not CHECKS.search(text):
        return f"{test} checks nothing"
    lacking = [each for each in code.split() if each not in ("", "-") and not re.search(rf"\b{each}\b", text)]
    return f"{test} does not check {', '.join(lacking)}" if lacking else ""


def test_each_row_of_the_tables_is_read() -> None:
    rows = [
        line
        for line in PAGE.splitlines()
        if line.startswith("|") and not re.match(r"\|-|\| (promise|input) \|", line)
    ]
    assert len(rows) == len(ROWS) > 80
    assert sum(bool(code) for _, code, _, _ in ROWS) > 80  # those of bad inputs have a code


@pytest.mark.parametrize(
    ("promise", "code", "file", "name"), ROWS, ids=[f"{row[2]}::{row[3]}" for row in ROWS]
)
def test_each_promise_has_its_test(promise: str, code: str, file: str, name: str) -> None:
    assert all(each == "-" or each in codes() for each in code.split())
    assert broken_promise(code, ROOT / "tests" / f"{file}.py", name) == "", promise


@pytest.mark.parametrize(
    ("code", "test", "broken"),
    [
        ("", "test_a", "test_a checks nothing"),
        ("", "test_b", ""),
        ("D03", "test_b", "test_b does not check D03"),
        ("D05 -", "test_b", ""),
        ("", "test_c", "test_c never runs or may fail"),
        ("", "test_d", "test_x.py has no test_d"),
    ],
)
def test_a_test_that_shows_nothing_is_found(code: str, test: str, broken: str, tmp_path: Path) -> None:
    file = tmp_path / "test_x.py"
    file.write_text(
        "CODE = 'D05'\ndef see():\n    assert CODE\ndef test_a(): pass\ndef test_b(): see()\n"
        "@pytest.mark.skip\ndef test_c(): see()\n"
    )
    assert broken_promise(code, file, test) == broken


def test_images_are_decoded_in_one_place() -> None:
    """Only kit/images/ decodes pixels; other files may read a header at most."""
    for file in (ROOT / "kit").rglob("*.py"):
        if file.parent == ROOT / "kit" / "images":
            continue
        called = {
            ast.unparse(node.func)
            for node in ast.walk(ast.parse(file.read_text()))
            if isinstance(node, ast.Call)
        }
        assert not called & {"cv2.imread", "cv2.imdecode", "PIL.Image.open", "np.asarray(Image.open"}, file
        if "Image.open" in called:
            assert file.name in ("recipes.py", "shift.py")  # kit init and kit check, which read sizes


def environment(**more: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **more}


def test_a_reader_that_leaves_early_gets_no_traceback() -> None:
    command = f"{sys.executable} -m kit explain | head -1"
    process = subprocess.run(
        ["bash", "-c", f"{command}; exit ${{PIPESTATUS[0]}}"],
        capture_output=True,
        text=True,
        env=environment(),
    )
    assert process.stdout.startswith("C01 ")
    assert process.returncode in (0, 1)  # 0: all of it went into the pipe before head left
    assert "Traceback" not in process.stderr
    closed = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m kit explain >&-"],
        capture_output=True,
        text=True,
        env=environment(),
    )
    assert "Traceback" not in closed.stderr


def test_a_folder_that_cannot_be_written_is_named(
    competition: Path, inside: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    (competition / "runs").write_text("a file, where a folder should be")
    inside(competition)
    assert run(["train", "--name", "r"]) == 1
    said = capsys.readouterr().err
    assert f"{competition}/runs" in said
    assert "Traceback" not in said


def test_without_a_home_and_a_network_the_menu_works(competition: Path) -> None:
    offline = "import socket\ndef refuse(*a): raise OSError('offline')\nsocket.socket.connect = refuse\n"
    code = f"{offline}from kit.commands._menu import run\nrun(['--help'])\n"
    code += "raise SystemExit(run(['config', 'show', '--json']))"
    process = subprocess.run(
        [sys.executable, "-c", code], cwd=competition, env=environment(), capture_output=True, text=True
    )
    assert process.returncode == 0, process.stderr
    assert '"image_size": 16' in process.stdout
