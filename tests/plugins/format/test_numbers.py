"""Submissions of numbers, a column or a row for each."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from kit.data.predictions import Predictions
from kit.errors import ConfigError
from kit.experiment.sample_format import find_formats
from kit.kinds import Format
from kit.kinds.targets import NUMBERS

MADE = Predictions(
    np.array(["a", "b"]),
    np.full(2, -1),
    ("height", "mass"),
    np.array([[1.5, -20], [0, 1e-7]], np.float32),
    target=NUMBERS,
)


def frame(**columns: list[str]) -> pd.DataFrame:
    return pd.DataFrame(columns, dtype=str)


def names(sample: pd.DataFrame, classes: tuple[str, ...]) -> list[str]:
    return [shape.plugin_name() for shape in find_formats(None, sample, classes, "numbers")]


def test_columns_are_written_in_the_samples_order_without_exponents() -> None:
    sample = frame(id=["b", "a"], mass=["0", "0"], height=["7.5", ""])
    assert names(sample, MADE.classes) == []  # a blank beside numbers
    sample["height"] = "7.5"
    assert names(sample, MADE.classes) == ["numbers"]
    written = Format.open("numbers").write(MADE, sample)
    assert written.to_dict("list") == {
        "id": ["b", "a"],
        "mass": ["0.0000001", "-20.0"],
        "height": ["0.0", "1.5"],
    }


def test_a_single_number_may_have_any_columns_name() -> None:
    one = Predictions(MADE.ids, MADE.folds, ("mass",), MADE.probabilities[:, 1:], target=NUMBERS)
    sample = frame(id=["a", "b"], prediction=["", ""])
    assert names(sample, ("mass",)) == ["numbers"]
    assert Format.open("numbers").write(one, sample)["prediction"].tolist() == ["-20.0", "0.0000001"]


def test_columns_of_other_names_are_those_of_the_option() -> None:
    sample = frame(id=["a", "b"], M=["0", "0"], H=["7.5", "7.5"])
    assert names(sample, MADE.classes) == []
    shape = Format.open({"name": "numbers", "columns": {"M": "mass", "H": "height"}})
    assert shape.matches(sample, MADE.classes)
    assert shape.write(MADE, sample)["H"].tolist() == ["1.5", "0.0"]
    with pytest.raises(ConfigError, match="C21 .*column 'M' is no number that is predicted") as error:
        Format.open("numbers").write(MADE, sample)
    assert error.value.hint == "format.columns names the label of a column; the labels: height, mass"


def test_a_row_for_each_id_and_column_is_written_at_its_place() -> None:
    sample = frame(sample_id=["a__mass", "b__height", "b__mass", "a__height"], target=["0.0"] * 4)
    assert names(sample, MADE.classes) == ["long_numbers"]
    shape = Format.open("long_numbers")
    assert shape.ids(sample, MADE.classes) == ["a", "b", "b", "a"]
    assert shape.write(MADE, sample)["target"].tolist() == ["-20.0", "0.0", "0.0000001", "1.5"]


def test_cells_that_are_no_finite_numbers_are_found() -> None:
    sample = frame(id=["a", "b"], mass=["1", "2"])
    bad = frame(id=["a", "b"], mass=["inf", "x"])
    findings = Format.open("numbers").check_rows(bad, sample, ("mass",))
    assert findings == [
        (0, "column 'mass' holds 'inf', not a finite number"),
        (1, "column 'mass' holds 'x', not a finite number"),
    ]
