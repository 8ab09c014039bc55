"""docs/: pages are listed, their links lead somewhere, their commands are taken, their figures were measured."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.documented import DOCS, ROOT, commands, parse

PAGES = sorted(DOCS.rglob("*.md"))
INDEX = (DOCS / "index.md").read_text()
COOKBOOK = (DOCS / "cookbook.md").read_text()
DECISIONS = DOCS / "decisions"
RECORDS = sorted(DECISIONS.glob("[0-9]*.md"))


def links(text: str) -> list[str]:
    return [target for target in re.findall(r"\]\(([^)]+)\)", text) if not target.startswith("http")]


def headings(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_the_index_lists_each_page_once() -> None:
    listed = [target for target in links(INDEX) if target.endswith(".md")]
    assert {DOCS / target for target in listed} == set(PAGES) - {DOCS / "index.md", *RECORDS}
    in_lists = re.findall(r"\]\(([^)]+)\)", INDEX.split("**First steps**")[1])
    assert len(in_lists) == len(set(in_lists))


def test_the_list_of_decisions_has_each_record_once() -> None:
    listed = links((DECISIONS / "README.md").read_text())
    assert sorted(listed) == [record.name for record in RECORDS]


@pytest.mark.parametrize("number", range(1, len(RECORDS) + 1))
def test_a_decision_has_its_number_and_three_parts(number: int) -> None:
    record = RECORDS[number - 1]
    text = record.read_text()
    assert record.name.startswith(f"{number:04d}-")
    assert text.startswith(f"# {number}. ")
    assert re.findall(r"^## (.*)$", text, flags=re.MULTILINE) == ["Context", "Decision", "Consequence"]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.stem)
def test_a_decision_names_files_that_are_there(record: Path) -> None:
    for path in re.findall(r"`((?:kit|tests)/[^`]*)`", record.read_text()):
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_each_link_leads_to_a_file_and_a_heading_that_are_there(page: Path) -> None:
    for target in links(page.read_text()):
        name, _, anchor = target.partition("#")
        place = (page.parent / name).resolve() if name else page
        assert place.exists(), f"{page}: {target}"
        assert not anchor or anchor in headings(place.read_text()), f"{page}: {target}"


@pytest.mark.parametrize("line", commands(COOKBOOK))
def test_each_command_of_the_cookbook_is_taken(line: str) -> None:
    parse(line)


def test_each_recipe_of_the_cookbook_has_commands() -> None:
    for recipe in COOKBOOK.split("\n## ")[1:]:
        assert commands(recipe), recipe.splitlines()[0]


def test_what_is_said_of_peers_has_its_figures_from_the_benchmarks() -> None:
    text = (DOCS / "compared.md").read_text()
    measured = (ROOT / "benchmarks" / "README.md").read_text()
    figures = re.findall(r"\d+\.\d+ s\b|(?<![\w.])\.\d{3}\b|\d+ of \d+ rounds", text)
    assert len(figures) >= 10
    for figure in figures:
        assert figure in measured, figure
