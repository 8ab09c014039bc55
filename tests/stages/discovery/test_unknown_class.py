"""A class that only the sample names is found, and confidences, misspelt labels and placeholders are not."""

from __future__ import annotations

from pathlib import Path

import pytest

from kit.data.csv_file import CsvFile
from kit.stages.discovery.file_scan import TableFile
from kit.stages.discovery.unknown_class import find_underscores, find_unknown_class


@pytest.mark.parametrize(
    ("cells", "labels", "name"),
    [
        (("new_whale w_1 w_2", "w_2 new_whale"), {"w_1", "w_2"}, "new_whale"),
        (("ant", "Other"), {"ant", "bee"}, "Other"),
        (("3", "-1"), {"1", "2", "3"}, "-1"),
        (("3", "4"), {"1", "2", "3"}, None),
        (("ant 0.9", ""), {"ant", "bee"}, None),
        (("ant 0.9", "bee"), {"ant", "bee"}, None),
        (("ant", "Bee"), {"ant", "bee"}, None),
        (("Other", "Other"), {"ant", "bee"}, None),
        (("ant", "wasp", "fly"), {"ant", "bee"}, None),
        (("ant", "bee"), {"ant", "bee"}, None),
    ],
)
def test_one_name_beside_labels_is_the_unknown_class(
    cells: tuple[str, ...], labels: set[str], name: str | None
) -> None:
    rows = tuple((str(number), cell) for number, cell in enumerate(cells))
    file = CsvFile(Path("sample.csv"), ("id", "label"), rows, range(2, 2 + len(rows)))
    unknown_class, text = find_unknown_class(TableFile("sample.csv", file, ",", "utf-8"), labels)
    assert unknown_class == name
    assert (name is not None) == ("kit blend RUN --ensembler" in text)


@pytest.mark.parametrize(
    ("cells", "labels", "is_found"),
    [
        (("alarm_clock cat", "cat bus"), {"alarm clock", "cat", "bus"}, True),
        (("alarm_clock",), {"alarm clock", "cat"}, True),
        (("cat bus",), {"alarm clock", "cat", "bus"}, False),
        (("alarm_clock other",), {"alarm clock", "cat"}, False),
        (("alarm_clock",), {"alarm clock", "alarm_clock"}, False),
        (("alarm clock",), {"alarm clock", "cat"}, False),
    ],
)
def test_labels_with_underscores_are_renamed(
    cells: tuple[str, ...], labels: set[str], is_found: bool
) -> None:
    file = CsvFile(
        Path("s.csv"), ("id", "word"), tuple((str(row), cell) for row, cell in enumerate(cells)), ()
    )
    renamed, text = find_underscores(TableFile("s.csv", file, ",", "utf-8"), labels)
    assert renamed == ({"alarm clock": "alarm_clock"} if is_found else {})
    assert bool(text) == is_found
