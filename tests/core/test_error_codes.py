"""Codes: each one that a message has is explained, and none is explained that no message has."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from kit.commands._menu import run
from kit.core.error_codes import codes

ROOT = Path(__file__).parents[2]


def texts(file: Path) -> Iterator[str]:
    """The texts of a module but for its docstrings."""
    for node in ast.walk(ast.parse(file.read_text())):
        for child in ast.iter_child_nodes(node):
            if (
                isinstance(child, ast.Constant)
                and isinstance(child.value, str)
                and not isinstance(node, ast.Expr)
            ):
                yield child.value


def used() -> set[str]:
    matches = (
        re.match(r"[CDKPRW]\d\d\b", text) for file in (ROOT / "kit").rglob("*.py") for text in texts(file)
    )
    return {match[0] for match in matches if match}


def test_each_code_of_the_source_has_an_entry_and_each_entry_a_code() -> None:
    assert used() == set(codes())


def test_each_line_of_the_page_that_begins_with_a_code_is_an_entry() -> None:
    page = (ROOT / "docs" / "codes.md").read_text()
    assert len(re.findall(r"^- \*\*", page, flags=re.MULTILINE)) == len(codes())
    assert list(codes()) == [code for letter in "CPDRWK" for code in sorted(codes()) if code[0] == letter]


def test_a_code_is_explained_in_any_case(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "d03"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "D03 truncated JPEG"
    assert said[-1].startswith("do: fetch it again")
    assert run(["explain", "D03", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["code"] == "D03"


def test_an_entry_of_several_lines_is_read_as_a_whole() -> None:
    page = (ROOT / "docs" / "codes.md").read_text()
    for code in codes().values():
        assert f"- **{code.code} {code.title}.**" in re.sub(r"\n\s+", " ", page)
        assert f"*Do:* {code.remedy}\n" in re.sub(r"\n  (?=\S)", " ", page)
        assert code.remedy.endswith(".")
        assert "*" not in code.meaning


def test_without_a_code_all_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain"]) == 0
    assert [line[:3] for line in capsys.readouterr().out.splitlines()] == list(codes())


def test_a_code_that_does_not_exist_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "D99"]) == 2
    assert "C05 no code 'D99'; did you mean" in capsys.readouterr().err
