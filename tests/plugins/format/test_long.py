"""A sample with a row for each id and class is melted as pandas does, whatever the order of its rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from kit.data.predictions import Predictions
from kit.errors import ConfigError
from kit.kinds import Format
from kit.kinds.targets import MULTI_HOT

CLASSES = ("any", "epidural", "not_any")
IDS = ("ID_1", "ID_2_x", "a")


@pytest.fixture
def predictions() -> Predictions:
    shares = np.array([[0.5, 0.25, 0.75], [0.125, 1, 0], [0.0625, 0.5, 0.5]], np.float32)
    return Predictions(np.array(IDS), np.full(3, -1), CLASSES, shares, target=MULTI_HOT)


def melted(predictions: Predictions) -> pd.DataFrame:
    wide = pd.DataFrame(predictions.probabilities, columns=list(CLASSES)).assign(id=list(IDS))
    return wide.melt("id", var_name="label", value_name="p").sample(frac=1, random_state=0)


@pytest.mark.parametrize("separator", ["_", "__", "-", " "])
def test_a_cell_of_id_and_class_is_read_with_any_separator(separator: str, predictions: Predictions) -> None:
    rows = melted(predictions)
    sample = pd.DataFrame({"ID": rows["id"] + separator + rows["label"], "Label": "0.5"}, dtype=str)
    shape = Format.open("long")
    assert shape.matches(sample, CLASSES)
    assert shape.ids(sample, CLASSES) == rows["id"].tolist()
    submission = shape.write(predictions, sample)
    assert submission["ID"].tolist() == sample["ID"].tolist()
    assert submission["Label"].astype(float).tolist() == rows["p"].tolist()


def test_id_and_class_in_columns_of_their_own(predictions: Predictions) -> None:
    rows = melted(predictions)
    sample = pd.DataFrame({"id": rows["id"], "p": "0", "class": rows["label"]}, dtype=str)
    shape = Format.open("long")
    assert shape.matches(sample, CLASSES)
    assert shape.write(predictions, sample)["p"].astype(float).tolist() == rows["p"].tolist()
    assert not Format.open("ranking").matches(sample, CLASSES)


def test_an_id_may_lack_a_class(predictions: Predictions) -> None:
    sample = pd.DataFrame(
        {"ID": ["a_any", "ID_1_not_any", "a_epidural", "ID_2_x_any"], "Label": "0"}, dtype=str
    )
    submission = Format.open("long").write(predictions, sample)
    assert submission["Label"].tolist() == ["0.0625", "0.75", "0.5", "0.125"]


def test_classes_that_are_numbers_need_a_separator() -> None:
    sample = pd.DataFrame({"ID": ["p1_0", "p1_1", "p2_0", "p2_1"], "Label": "0"}, dtype=str)
    classes = ("0", "1")
    assert not Format.open("long").matches(sample, classes)
    shape = Format.open({"name": "long", "separator": "_"})
    assert shape.matches(sample, classes)
    assert shape.ids(sample, classes) == ["p1", "p1", "p2", "p2"]


def test_ids_that_end_in_other_words_are_no_long_table(predictions: Predictions) -> None:
    sample = pd.DataFrame({"ID": ["a_any", "b_other"], "Label": "0"}, dtype=str)
    shape = Format.open("long")
    assert not shape.matches(sample, CLASSES)
    assert shape.ids(sample, CLASSES) == ["a_any", "b_other"]
    with pytest.raises(ConfigError, match="C21"):
        shape.write(predictions, sample)
