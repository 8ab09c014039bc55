"""docs/kinds/: one page per kind, with its methods, built-in plugins and contract tests as they are in the code."""

from __future__ import annotations

import inspect
import re
import textwrap

import pytest

from kit.contracts import laws_of, sentence
from kit.kinds import KINDS
from kit.kinds.catalogue import list_plugins
from tests.documented import DOCS, commands, parse

PAGES = {page.stem: page.read_text() for page in sorted((DOCS / "kinds").glob("*.md"))}
LINES = [(kind, line) for kind, text in PAGES.items() for line in commands(text)]


def section(kind: str, title: str) -> str:
    match = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", PAGES[kind], flags=re.DOTALL | re.MULTILINE)
    assert match is not None, f"docs/kinds/{kind}.md has no section {title!r}"
    return match[1]


def points(kind: str, title: str) -> list[str]:
    bullets = re.findall(r"^- (.*(?:\n  .*)*)", section(kind, title), flags=re.MULTILINE)
    return [" ".join(point.split()) for point in bullets]


def test_each_kind_has_a_page_and_nothing_else_has() -> None:
    assert set(PAGES) == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_names_each_stock_plugin_as_kit_does_and_no_other(kind: str) -> None:
    assert points(kind, "Built-in plugins") == [
        f"`{one.name}`: {one.summary}" for one in list_plugins([kind], None)
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_has_the_laws_of_its_kind(kind: str) -> None:
    general = [sentence(law) for law in laws_of("none")]
    laws = [sentence(law) for law in laws_of(kind)]
    assert points(kind, "Contract tests") == [law for law in laws if law not in general]


@pytest.mark.parametrize("kind", KINDS)
def test_a_pages_methods_are_those_of_the_kinds_class(kind: str) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", section(kind, "Methods"), flags=re.DOTALL)
    shown = re.split(r"\n\n(?=def )", code.strip())
    names = [re.findall(r"def (\w+)", text)[0] for text in shown]
    for name, text in zip(names, shown, strict=True):
        assert text in textwrap.dedent(inspect.getsource(getattr(KINDS[kind], name)))
    named = re.findall(rf"^### {kind}$", (DOCS / "plugins.md").read_text(), flags=re.MULTILINE)
    assert named, "the example that the page leads to"


@pytest.mark.parametrize(("kind", "line"), LINES)
def test_a_pages_commands_are_taken(kind: str, line: str) -> None:
    parse(line)
