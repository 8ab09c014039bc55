"""Results show themselves: a few lines, escaped HTML with a table or a picture, and a pandas table."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from kit.core.display import MAX_LINES, MAX_ROWS, Displayed, Results, frame

EVIL = '<script>alert("x")</script>\x1b[2J caf\udce9'


@dataclass(frozen=True, repr=False)
class Shown(Displayed):
    """A result for these tests."""

    texts: tuple[str, ...]
    rows: int = 1
    png: bytes = b""

    def _lines(self) -> Sequence[str]:
        return self.texts

    def _pictures(self) -> Sequence[bytes]:
        return [self.png] if self.png else []

    def to_frame(self) -> pd.DataFrame:
        return frame(
            [
                {
                    self.texts[0].encode(errors="replace").decode(): self.texts[0],
                    "score": 0.123456,
                    "none": None,
                }
            ]
            * self.rows
        )


def test_text_has_few_lines() -> None:
    assert repr(Shown(("one", "two"))) == "one\ntwo"
    long = repr(Shown(tuple(str(number) for number in range(20)))).splitlines()
    assert len(long) == MAX_LINES
    assert long[-1] == f"… and {20 - MAX_LINES + 1} more lines"


def test_html_is_escaped_and_valid_utf8() -> None:
    page = Shown((EVIL,))._repr_html_()
    assert "<script" not in page
    assert page.count("&lt;script&gt;") == 3  # the line, the heading and the cell
    assert "\x1b" not in page
    assert page.encode()
    assert "0.1235" in page
    assert "None" not in page


def test_a_long_table_is_cut_and_says_so() -> None:
    page = Shown(("many",), rows=MAX_ROWS + 7)._repr_html_()
    assert page.count("<tr") == MAX_ROWS + 1
    assert "7 more rows" in page
    assert len(Shown(("many",), rows=MAX_ROWS + 7).to_frame()) == MAX_ROWS + 7


def test_a_picture_takes_the_tables_place() -> None:
    page = Shown(("plot",), png=b"\x89PNG")._repr_html_()
    (data,) = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    assert base64.b64decode(data) == b"\x89PNG"
    assert "<table" not in page


def test_several_results_are_one_table() -> None:
    several = Results([Shown(("a",)), Shown(("b",))])
    assert repr(several) == "a\nb"
    assert len(several.to_frame()) == 2
    assert several[0].texts == ("a",)
    assert Results[Shown]([]).to_frame().empty
    assert Results[Shown]([])._repr_html_() == "<div></div>"
