"""A label and its confidence in a cell, compared with numbers by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from kit.data.predictions import Predictions
from kit.errors import ConfigError
from kit.kinds import Format

CLASSES = ("137195", "8815", "Old Town")
SHARES = np.array([[0.25, 0.5, 0.25], [0.125, 0.0625, 0.8125], [0.375, 0.375, 0.25]], np.float32)
PREDICTIONS = Predictions(np.array(["a", "b", "c"]), np.full(3, -1), CLASSES, SHARES)


def sample(*cells: str) -> pd.DataFrame:
    return pd.DataFrame({"id": ["b", "a", "c"][: len(cells)], "landmarks": cells}, dtype=str)


def test_the_most_probable_class_is_written_with_its_probability() -> None:
    submission = Format.open("label_confidence").write(PREDICTIONS, sample("8815 0.1", "", ""))
    assert submission.to_numpy().tolist() == [
        ["b", "Old Town 0.8125"],
        ["a", "8815 0.5"],
        ["c", "137195 0.375"],
    ]


def test_a_row_below_the_least_confidence_has_an_empty_cell() -> None:
    shape = Format.open({"name": "label_confidence", "min_confidence": 0.5})
    submission = shape.write(PREDICTIONS, sample("8815 0.1", "", ""))
    assert submission["landmarks"].tolist() == ["Old Town 0.8125", "8815 0.5", ""]
    assert shape.matches(submission, CLASSES)
    with pytest.raises(
        ConfigError, match="C21 no row has a probability of 0.9 or more, the highest is 0.8125"
    ):
        Format.open({"name": "label_confidence", "min_confidence": 0.9}).write(PREDICTIONS, submission)


@pytest.mark.parametrize(
    ("cells", "known"),
    [
        (("137195 0.9", "8815 0.1"), True),
        (("137195 1", ""), True),
        (("Old Town 0.5",), True),
        (("", ""), False),
        (("137195", "8815"), False),
        (("137195 8815", "8815 137195"), False),
        (("137195 1.5",), False),
        (("other 0.5",), False),
        (("137195  ",), False),
    ],
)
def test_a_sample_is_known_by_a_class_and_a_number(cells: tuple[str, ...], known: bool) -> None:
    assert Format.open("label_confidence").matches(sample(*cells), CLASSES) is known


def test_two_labels_in_a_cell_are_no_confidence() -> None:
    shape = Format.open("label_confidence")
    assert not shape.matches(sample("1 0", "0 1"), ("0", "1"))
    assert shape.matches(sample("1 1", "0 1"), ("0", "1"))  # a label is not there twice, so 1 is a confidence


def test_wrong_cells_are_named() -> None:
    submission = sample("8815", "137196 0.5", "8815 2")
    assert Format.open("label_confidence").check_rows(submission, submission, CLASSES) == [
        (0, "'8815' is not a label and a confidence, separated by a space"),
        (1, "'137196' is not a class; did you mean '137195'?"),
        (2, "confidence '2' is not a number from 0 to 1"),
    ]
