"""A class that only the sample names is found, and confidences, misspelt labels and placeholders are not."""

from __future__ import annotations

from pathlib import Path

import pytest

from kit.data.csv_file import CsvFile
from kit.stages.discovery.file_scan import TableFile
from kit.stages.discovery.unknown_class import find_unknown_class


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
    found, text = find_unknown_class(TableFile("sample.csv", file, ",", "utf-8"), labels)
    assert found == name
    assert (name is not None) == ("kit blend RUN --ensembler" in text)
