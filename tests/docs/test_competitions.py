"""docs/competitions.md: each stand-in of its table is entered by the test that the table names."""

from __future__ import annotations

import importlib
import re

import pytest

from tests.docs.test_promises import text_of
from tests.documented import DOCS, ROOT

PAGE = (DOCS / "competitions.md").read_text()
TABLE = PAGE.partition("\n## Stand-ins\n")[2].partition("\n## ")[0]
ROWS = [tuple(row.strip("| ").split(" | ")) for row in TABLE.splitlines() if row.startswith("| ")][1:]
TEST = re.compile(r"([\w/]+)::(\w+)(?:\[(.+)\])?")
ENTERED = [(row[0], parts) for row in ROWS if (parts := TEST.fullmatch(row[2]))]
COMPETITIONS, TO_ENTER = 66, 58  # that were looked up, and of which a stand-in must be entered


def test_the_counts_are_those_of_the_table() -> None:
    assert len({row[0] for row in ROWS}) == len(ROWS) == COMPETITIONS
    assert len(ENTERED) >= TO_ENTER
    assert f"small stand-ins of {len(ENTERED)} of these {len(ROWS)} competitions" in TABLE
    reasons = [row[2] for row in ROWS if not TEST.fullmatch(row[2])]
    assert all(len(reason.split()) > 5 and "::" not in reason for reason in reasons)
    assert len({reference[0] for _, reference in ENTERED}) == len(ENTERED)  # no test counts twice


@pytest.mark.parametrize(("competition", "reference"), ENTERED, ids=[name for name, _ in ENTERED])
def test_a_stand_in_is_entered_by_its_test(competition: str, reference: re.Match[str]) -> None:
    file, name, case = reference.groups()
    module = importlib.import_module(f"tests.{file.replace('/', '.')}")
    marks = {mark.name: mark for mark in getattr(getattr(module, name), "pytestmark", ())}
    assert not marks.keys() & {"skip", "skipif", "xfail"}
    assert case is None or case in list(marks["parametrize"].args[1])
    assert re.search(r"\bcheck_submission\(|\.submitted\b", text_of(ROOT / "tests" / f"{file}.py", name))
