"""The page: one file that asks for nothing, escapes every name, and stays small."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from kit.stages.reporting import page as pages
from kit.stages.reporting.album import Album
from kit.stages.reporting.facts import Facts, Missing
from kit.stages.reporting.page import MAX_PAGE_BYTES, page
from tests.drawn_facts import HOSTILE, drawn_facts

SECTIONS = ("data", "runs", "evaluation", "mistakes", "suspects", "views", "blend", "board")


class Seen(HTMLParser):
    """The tags of a page, with their attributes, and the texts of its scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.within = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.within = tag

    def handle_endtag(self, tag: str) -> None:
        self.within = ""

    def handle_data(self, data: str) -> None:
        if self.within == "script":
            self.scripts.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def facts() -> Facts:
    return drawn_facts((HOSTILE, "bee", "cat"), HOSTILE)


@pytest.fixture(scope="module")
def seen(facts: Facts) -> Seen:
    return Seen(page(facts))


def test_hostile_names_make_no_tag_and_no_attribute(seen: Seen) -> None:
    plain = Seen(page(drawn_facts()))
    assert {tag for tag, _ in seen.tags} == {tag for tag, _ in plain.tags}
    assert len(seen.all("script")) == 2
    handlers = {key for _, attributes in seen.tags for key in attributes if key.startswith("on")}
    assert not handlers


def test_embedded_json_has_no_less_than_sign_and_is_read_back(facts: Facts, seen: Seen) -> None:
    names, code = seen.scripts
    assert "<" not in names
    assert "\\u003c" in names
    assert json.loads(names) == [HOSTILE, "bee", "cat"]
    assert "window.evil" not in code


def test_the_policy_lets_the_pages_own_style_and_script_run_and_nothing_else(
    seen: Seen, facts: Facts
) -> None:
    (policy,) = [
        one["content"] for one in seen.all("meta") if one.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy is not None
    assert policy.startswith("default-src 'none'; img-src data:; ")
    assert "unsafe" not in policy
    text = page(facts)
    (style,) = re.findall(r"<style>(.*?)</style>", text, flags=re.DOTALL)
    for content in (style, seen.scripts[1]):
        assert f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'" in policy
    assert not any("style" in attributes for _, attributes in seen.tags)


def test_nothing_comes_from_outside(seen: Seen) -> None:
    for _, attributes in seen.tags:
        for key in ("src", "href", "action", "data", "srcset"):
            value = attributes.get(key) or ""
            assert value.startswith(("data:", "#")) or not value
    style = (pages.TEMPLATES / "style.css").read_text()
    assert "url(" not in style
    assert "@import" not in style


def test_every_picture_has_words_and_every_table_cell_a_heading(seen: Seen) -> None:
    assert all(image["alt"] for image in seen.all("img"))
    drawn = [svg for svg in seen.all("svg") if svg.get("aria-hidden") != "true"]
    assert drawn
    assert all(svg["role"] == "img" and svg["aria-label"] for svg in drawn)
    assert all(heading.get("scope") for heading in seen.all("th"))


def test_each_section_that_is_missing_says_why_and_names_its_command(facts: Facts) -> None:
    for section in SECTIONS:
        missing: dict[str, Any] = {section: Missing("why it is not there", "kit what-fills-it")}
        gone = dataclasses.replace(facts, **missing)
        text = page(gone)
        assert "why it is not there" in text
        assert "<code>kit what-fills-it</code>" in text


def test_a_score_that_near_copies_flatter_says_so(facts: Facts) -> None:
    assert "optimistic: see K05" in page(facts)
    assert not isinstance(facts.data, Missing)
    mended = dataclasses.replace(facts, data=dataclasses.replace(facts.data, findings=()))
    assert "optimistic: see K05" not in page(mended)


def test_a_hundred_classes_and_more_pictures_than_fit_stay_below_5_mb() -> None:
    facts = drawn_facts([f"class {n}" for n in range(100)], mistakes=400)
    text = page(facts)
    assert 3_000_000 < len(text.encode()) < MAX_PAGE_BYTES
    assert text.count('src="data:image/jpeg') < 400 < text.count('class="card"') + 1


def test_a_page_that_would_be_too_large_goes_without_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = drawn_facts(mistakes=5)
    whole = page(facts)
    monkeypatch.setattr(pages, "MAX_PAGE_BYTES", len(whole.encode()))
    small = page(facts)
    assert "data:image/jpeg" not in small
    assert "all pictures" in small
    assert small.count('class="card"') == whole.count('class="card"') > 5


def test_the_album_counts_what_it_leaves_out() -> None:
    import numpy as np

    album, image = Album(budget=3000), np.zeros((300, 100, 3), np.uint8)
    shown = [album.picture(image, "dark", "tests") for _ in range(9)]
    first = shown[0]
    assert first is not None
    assert (first.width, first.height) == (44, 132)
    assert sum(one is None for one in shown) == album.left_out["tests"] > 0
    assert album.spent <= 3000
