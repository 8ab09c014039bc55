"""The site of `make docs`: navigation, links that leave docs/, generated pages. Most tests need no mkdocs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

import kit
from kit.commands._menu import menu
from tools.docs_site import (
    OUTSIDE,
    api_pages,
    command_pages,
    expand,
    notebook_pages,
    outside_pages,
    rewrite_links,
    show_file,
)

ROOT = Path(__file__).parents[2]
CONFIG = (ROOT / "mkdocs.yml").read_text()
needs_mkdocs = pytest.mark.skipif(
    find_spec("mkdocs") is None, reason="mkdocs is not installed: make docs installs it"
)


class Loader(yaml.SafeLoader):  # type: ignore[misc]  # yaml has no types
    """Reads mkdocs.yml without the functions that it names."""


Loader.add_multi_constructor("tag:yaml.org,2002:python/", lambda loader, suffix, node: None)


def listed(nav: list[Any]) -> list[str]:
    """The pages of a navigation, in order."""
    values = [value for entry in nav for value in (entry.values() if isinstance(entry, dict) else [entry])]
    return [page for value in values for page in (listed(value) if isinstance(value, list) else [value])]


def test_the_navigation_has_each_page_once() -> None:
    pages = listed(yaml.load(CONFIG, Loader)["nav"])
    folders = [page for page in pages if page.endswith("/")]
    expected = {str(file.relative_to(ROOT / "docs")) for file in (ROOT / "docs").rglob("*.md")}
    expected = {page for page in expected if not page.startswith(tuple(folders))}
    assert len(pages) == len(set(pages))
    assert {page for page in pages if not page.startswith("project/") and page not in folders} == expected
    assert {page for page in pages if page.startswith("project/")} <= set(outside_pages())


def test_each_notebook_is_a_page_with_its_code_and_a_link_to_the_file() -> None:
    files = {file.stem for file in (ROOT / "docs" / "notebooks").glob("*.ipynb")}
    pages = notebook_pages()
    assert {Path(page).stem for page in pages} == files
    page = pages["notebooks/code_competition.md"]
    assert page.startswith("# Submit to a code competition\n\n")
    assert "\n\n[Download this notebook](code_competition.ipynb)\n\n```python\nimport kit\n" in page
    assert "```python\ncomp.board()\n```" in page
    assert "```sh\nkit bundle submissions/0001-mean-r.json" in page
    assert "%%bash" not in page
    assert "[finetune.ipynb](finetune.md)" in page
    assert "](../final.md)" in page


def test_a_folder_of_the_navigation_becomes_its_pages() -> None:
    nav = [{"Home": "index.md"}, {"More": [{"A": "a/"}, {"B": "b/"}]}]
    assert expand(nav, {"a/": ["a/1.md", "a/2.md"]}) == [
        {"Home": "index.md"},
        {"More": [{"A": ["a/1.md", "a/2.md"]}]},
    ]


@pytest.mark.parametrize(
    ("page", "link", "expected"),
    [
        ("docs/scale.md", "../setup.cfg", "project/setup.cfg.md"),
        ("docs/scale.md", "notebooks/finetune.ipynb", "notebooks/finetune.md"),
        ("docs/kinds/loss.md", "../../setup.cfg#x", "../project/setup.cfg.md#x"),
        ("docs/kinds/loss.md", "../plugins.md#loss", "../plugins.md#loss"),
        ("docs/scale.md", "../benchmarks/README.md#growth", "project/benchmarks/README.md#growth"),
        ("docs/plugins.md", "../plugins", "project/plugins.md"),
        ("README.md", "docs/kinds/loss.md", "../kinds/loss.md"),
        ("README.md", "docs", "../index.md"),
        ("benchmarks/README.md", "../docs/scale.md", "../../scale.md"),
        ("README.md", "#a", "#a"),
        ("README.md", "https://example.org/a.md", "https://example.org/a.md"),
        ("docs/scale.md", "../missing.py", "../missing.py"),
    ],
)
def test_a_link_that_is_written_for_github_works_in_the_site(page: str, link: str, expected: str) -> None:
    assert rewrite_links(f"see [it]({link}).", page) == f"see [it]({expected})."


def test_code_is_not_rewritten() -> None:
    text = "`[a](../setup.cfg)`\n\n```python\nx[0](../setup.cfg)\n```\n"
    assert rewrite_links(text, "docs/scale.md") == text


def test_each_file_that_is_linked_has_a_page() -> None:
    pages = outside_pages()
    assert pages["project/README.md"] == "README.md"
    for page, path in pages.items():
        assert (ROOT / path).exists(), page
        assert "# " in show_file(path), page


def test_each_command_has_a_page_with_each_of_its_options() -> None:
    pages = command_pages()
    assert [f"commands/{name}.md" for name in menu.list_commands(None)] == list(pages)  # type: ignore[arg-type]
    tta = pages["commands/tta.md"]
    assert tta.startswith("# kit tta\n\nPredict")
    assert "```text\nkit tta [OPTIONS] [KEY=VALUE]...\n```" in tta
    assert "\n`-c, --checkpoints PATH...`\n:   " in tta
    assert "\n```text\nkit tta --checkpoints" in tta
    assert "## kit board score\n" in pages["commands/board.md"]


def test_a_link_between_api_pages_leads_to_a_section() -> None:
    pages = api_pages()
    links = re.findall(r"\]\(([^)#]+)#([^)]+)\)", "".join(pages.values()))
    assert links
    for page, anchor in links:
        assert f"::: {anchor}\n" in pages[f"api/{page}"], anchor


def test_each_public_name_is_in_the_api_pages() -> None:
    text = api_pages()["api/kit.md"]
    sections = {line.rsplit(".", 1)[1] for line in text.splitlines() if line.startswith("::: ")}
    links = {line.split("`")[1] for line in text.splitlines() if line.startswith("[`")}
    assert sections | links == set(kit.__all__)
    assert "[`KitError`](kit.errors.md#kit.errors.KitError)" in text
    assert "\n::: kit.errors.KitError\n" in api_pages()["api/kit.errors.md"]
    assert re.search(r"^::: kit\.[\w.]+\.generator$", api_pages()["api/helpers.md"], re.MULTILINE)


@pytest.mark.parametrize(
    ("html", "is_refused"),
    [
        ('<script src="https://example.org/a.js">', True),
        ("<link rel=stylesheet href=//example.org/a.css>", True),
        ('<img alt="a" src="http://example.org/a.png">', True),
        ('<a href="https://example.org">a link</a>', False),
        ('<script src="assets/a.js">', False),
    ],
)
def test_what_a_page_would_load_from_another_host_is_found(html: str, is_refused: bool) -> None:
    assert bool(OUTSIDE.search(html)) == is_refused


@needs_mkdocs
@pytest.mark.parametrize(
    "link", ["", "[gone](gone.md)", "[gone](../kit/gone.py)", "[gone](tutorial.md#gone)"]
)
def test_a_broken_link_fails_the_build(tmp_path: Path, link: str) -> None:
    for name in ("docs", "kit", "tools", "plugins", "benchmarks"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for file in [*ROOT.glob("*.md"), ROOT / "LICENSE", ROOT / "mkdocs.yml", ROOT / "setup.cfg"]:
        shutil.copy(file, tmp_path)
    with (tmp_path / "docs" / "index.md").open("a") as page:
        page.write(f"\n{link}\n")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path), "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert (done.returncode == 0) == (link == ""), done.stderr
    assert (tmp_path / "site" / "index.html").is_file() or link
