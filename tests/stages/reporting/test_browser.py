"""The report in a browser: on a phone and a desk, in light and dark and on paper, with its sorting and its filter."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import pytest

from kit.stages.reporting.page import page
from tests.browser import browser
from tests.drawn_facts import HOSTILE, drawn_facts

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CLASSES = (HOSTILE, "bee", "cat", "dog")
PHONE, DESK = 390, 1280
Scheme: TypeAlias = Literal["light", "dark"]


class Window:
    """A page that is open, and what it said on its console."""

    def __init__(self, chromium: Browser, file: Path, width: int, scheme: Scheme = "light") -> None:
        context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        self.page: Page = context.new_page()
        self.said: list[str] = []
        self.urls: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.urls.append(request.url))
        self.page.goto(file.as_uri())

    def column(self, table: str, number: int) -> list[str]:
        """The texts of a table's column, by the table's id."""
        cells: list[str] = self.page.locator(f"#{table} tbody tr").evaluate_all(
            f"rows => rows.map(row => row.cells[{number}].textContent.trim())"
        )
        return cells


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as instance:
        yield instance


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(page(drawn_facts(CLASSES, f"run {HOSTILE}", side=64)))
    return path


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [PHONE, DESK])
def test_it_fits_prints_nothing_asks_nobody_and_axe_finds_no_fault(
    chromium: Browser, file: Path, width: int, scheme: Scheme
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    window = Window(chromium, file, width, scheme)
    assert window.said == []
    assert [url for url in window.urls if not url.startswith("data:")] == [file.as_uri()]
    assert window.page.evaluate("document.documentElement.scrollWidth") == width
    assert window.page.evaluate("window.evil") is None
    assert len(window.page.screenshot(full_page=True)) > 20_000
    window.page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
    faults = Axe().run(window.page).response["violations"]
    assert [(one["id"], one["nodes"][0]["html"]) for one in faults] == []


def test_a_click_on_a_heading_sorts_by_number_and_another_turns_it_round(
    chromium: Browser, file: Path
) -> None:
    window = Window(chromium, file, DESK)
    heading = window.page.locator("#board-table th", has_text="cv")
    heading.locator("button").click()
    scores = window.column("board-table", 3)
    assert scores == sorted(scores, reverse=True)
    assert heading.get_attribute("aria-sort") == "descending"
    heading.locator("button").press("Enter")
    assert window.column("board-table", 3) == scores[::-1]
    assert heading.get_attribute("aria-sort") == "ascending"
    assert window.said == []


def test_text_is_sorted_as_people_do(chromium: Browser, file: Path) -> None:
    window = Window(chromium, file, DESK)
    window.page.locator("#class-table th button", has_text="class").click()
    assert window.column("class-table", 0)[1:] == ["bee", "cat", "dog"]


def test_the_filter_leaves_what_is_of_the_class_and_all_comes_back(chromium: Browser, file: Path) -> None:
    window = Window(chromium, file, DESK)
    cards, rows = window.page.locator(".card"), window.page.locator("#class-table tbody tr")
    whole = cards.count()
    choice = window.page.locator("#class")
    assert choice.locator("option").all_text_contents()[2:] == ["bee", "cat", "dog"]
    choice.select_option("cat")
    visible = window.page.locator(".card:visible")
    assert 0 < visible.count() < whole
    assert all("cat" in text for text in visible.all_text_contents())
    assert rows.filter(visible=True).all_text_contents()[0].strip().startswith("cat")
    shown = window.page.locator("#shown").text_content() or ""
    assert f"{visible.count()} of {whole} pictures" in shown
    choice.select_option("")
    window.page.evaluate("document.getElementById('more-cards').open = true")
    assert window.page.locator(".card:visible").count() == whole
    assert window.said == []


def test_without_scripts_all_is_there_and_no_dead_control(chromium: Browser, file: Path) -> None:
    shown = chromium.new_context(
        java_script_enabled=False, viewport={"width": DESK, "height": 900}
    ).new_page()
    shown.goto(file.as_uri())
    assert shown.locator("th button").count() == 0
    assert not shown.locator("#filter").is_visible()
    assert shown.locator("#class-table tbody tr").count() == len(CLASSES)


def test_on_paper_it_is_light_and_unfolded(chromium: Browser, file: Path) -> None:
    window = Window(chromium, file, DESK, "dark")
    window.page.emulate_media(media="print")
    assert window.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not window.page.locator(".bar-nav").is_visible()
    assert window.page.pdf(format="A4").startswith(b"%PDF")
    assert window.page.locator("details.run:not([open])").count() == 0
