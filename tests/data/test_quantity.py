"""Many different numbers are a quantity and no classes, and the hint makes classes of ranges."""

from __future__ import annotations

import shlex
from pathlib import Path

import numpy as np
import pytest

from kit.config.models import Data
from kit.config.overrides import apply_overrides
from kit.data.quantity import is_quantity
from kit.data.table import Table, train_table
from kit.errors import DataError
from kit.plugins.splitter._sklearn import check_rows
from kit.stages.checks.labels import check_label_numbers
from tests.drawn_tables import PLAIN, csv, make

WEIGHTS = PLAIN.model_copy(update={"label": "weight", "sample": None})


def drawn(root: Path, values: list[str], data: Data = WEIGHTS) -> Table:
    make(
        root,
        {"train.csv": csv("id,weight", *(f"a{n},{value}" for n, value in enumerate(values)))},
        [f"images/a{n}.png" for n in range(len(values))],
    )
    return train_table(root, data)


def test_different_numbers_are_a_quantity_whose_hint_makes_classes(tmp_path: Path) -> None:
    values = [f"{value:.2f}" for value in np.linspace(0, 30, 301)]
    with pytest.raises(DataError, match="D35") as caught:
        check_rows(drawn(tmp_path, values), 5)
    assert caught.value.summary == (
        "the label has 301 different numbers in 301 rows, at most 1 of each: it is a quantity, not classes"
    )
    (finding,) = check_label_numbers(drawn(tmp_path / "frequent", [*["0.0"] * 9, *values[1:]]))
    assert (finding.code, finding.level) == ("K44", "warning")
    words = shlex.split(caught.value.hint.partition(", which")[0])
    data = Data.model_validate({**WEIGHTS.model_dump(), **apply_overrides({}, words)["data"]})
    # the quartiles of 0, 0.1 ... 30 are 7.5, 15 and 22.5
    table = train_table(tmp_path, data)
    assert data.label_from.bins == {"weight": (7.5, 15.0, 22.5)}
    assert sorted(table.classes) == ["15-22.5", "7.5-15", "<7.5", ">=22.5"]
    assert sorted(table.counts().tolist()) == [75, 75, 75, 76]
    check_rows(table, 5)


@pytest.mark.parametrize(
    "values",
    [
        [str(grade) for grade in range(10)],  # few: grades
        [str(number) for number in range(30) for _ in range(6)],  # rows enough of each
        [f"w_{number}" for number in range(300)],  # names
    ],
)
def test_grades_names_and_frequent_numbers_are_classes(values: list[str], tmp_path: Path) -> None:
    table = drawn(tmp_path, values)
    assert not is_quantity(table)
    assert list(check_label_numbers(table)) == []


def test_check_says_it_where_one_number_is_frequent(tmp_path: Path) -> None:
    (finding,) = check_label_numbers(drawn(tmp_path, [*["0.0"] * 9, *(f"{n}.5" for n in range(60))]))
    assert (finding.code, finding.level) == ("K44", "warning")
    assert "61 different numbers in 69 rows" in finding.summary
