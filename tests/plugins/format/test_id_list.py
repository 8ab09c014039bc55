"""Ids in a cell are ids of images only if they cannot be labels."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from kit.data.predictions import Predictions
from kit.errors import ConfigError
from kit.kinds import Format


def frame(*rows: tuple[str, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["id", "matches"], dtype=str)


def test_a_set_of_the_samples_own_ids_is_known() -> None:
    shape = Format.open("id_list")
    assert shape.matches(frame(("a", "a b"), ("b", "b")), ("x", "y"))
    assert shape.matches(frame(("0", "0 1"), ("1", "1")), ("0", "1"))
    assert not shape.matches(frame(("0", "1"), ("1", "1")), ("0", "1"))
    assert not shape.matches(frame(("a", "a c"), ("b", "b")), ("x", "y"))


def test_wrong_cells_are_named() -> None:
    submission = frame(("a", "a a"), ("b", "c"), ("c", ""), ("d", "d"))
    sample = frame(("a", "a"), ("b", "b"), ("d", "d"))
    assert Format.open("id_list").check_rows(submission, sample, ()) == [
        (2, "no ids"),
        (1, "'c' is not an id of the sample"),
        (0, "'a' is there twice"),
    ]
    other = Format.open({"name": "id_list", "images": "other"})
    assert other.check_rows(frame(("a", "x y")), sample, ()) == []


def test_probabilities_cannot_be_written() -> None:
    predictions = Predictions(np.array(["a"]), np.array([-1]), ("x", "y"), np.array([[0.5, 0.5]], np.float32))
    with pytest.raises(ConfigError, match="C21") as error:
        Format.open("id_list").write(predictions, frame(("a", "a")))
    assert "kit retrieve RUN --within test" in error.value.hint
