"""kit init finds answers of several images, and says what is missing if it cannot use them."""

from __future__ import annotations

from pathlib import Path

import pytest

from kit.stages.discovery.discover import discover
from tests.drawn_competitions import StandIn
from tests.drawn_groups import GROUPED
from tests.drawn_tables import make


def with_file(name: str, file: str, text: str) -> StandIn:
    from dataclasses import replace

    known = GROUPED[name]
    return replace(known, files={**known.files, file: text})


@pytest.mark.parametrize("name", GROUPED)
def test_the_answer_is_found_with_its_reason(name: str, tmp_path: Path) -> None:
    competition = GROUPED[name]
    make(tmp_path, competition.files, competition.images)
    discovery = discover(tmp_path)
    assert {key: discovery.data.get(key) for key in competition.data} == competition.data
    (line,) = (line for line in discovery.findings if line.startswith("answer: "))
    assert line.startswith(f"answer: {competition.data['answer']!r}, ")
    assert "share" in line


def test_an_answer_that_is_given_is_taken(tmp_path: Path) -> None:
    make(tmp_path, GROUPED["Cdiscount"].files, GROUPED["Cdiscount"].images)
    discovery = discover(tmp_path, {"answer": "category_id"})
    assert discovery.data["answer"] == "category_id"
    assert not [line for line in discovery.findings if line.startswith("answer: ")]


def test_a_training_table_without_the_column_is_named_with_what_to_do(tmp_path: Path) -> None:
    text = GROUPED["Cdiscount"].files["train.csv"].replace("photo,_id,", "photo,product,")
    competition = with_file("Cdiscount", "train.csv", text)
    make(tmp_path, competition.files, competition.images)
    discovery = discover(tmp_path)
    assert discovery.data.get("answer") is None
    (line,) = (line for line in discovery.findings if "one answer for each '_id'" in line)
    assert "train.csv has no such column: add it, then kit init --answer COLUMN" in line


def test_columns_of_images_that_the_sample_lists_are_not_joined(tmp_path: Path) -> None:
    competition = GROUPED["ODIR-2019"]
    tests = "\n".join(f"9{n}_left.jpg,0.5,0.5,0.5,0.5,0.5,0.5,0.5,0.5" for n in range(8))
    changed = with_file("ODIR-2019", "sample_submission.csv", f"ID,N,D,G,C,A,H,M,O\n{tests}\n")
    make(tmp_path, changed.files, competition.images)
    assert "|" not in discover(tmp_path).data["test_images"]
