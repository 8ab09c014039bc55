"""Patterns that name several columns of images: a row of the table becomes a row per image."""

from __future__ import annotations

from pathlib import Path

import pytest

from kit.config.models import Data
from kit.data.table import Table, test_table, train_table
from kit.errors import KitError
from tests.drawn_tables import PLAIN, csv, make

EYES = PLAIN.model_copy(
    update={"id": "patient", "answer": "patient", "images": "images/{left|right}", "test": "test.csv"}
)
TRAIN = csv("patient,left,right,label", "p1,a.png,x/b.png,cat", "p2,c.png,,dog")
FILES = {
    "train.csv": TRAIN,
    "test.csv": csv("patient,left,right", "p3,d.png,e.png"),
    "sample.csv": csv("patient,label", "p3,cat"),
}
IMAGES = [f"images/{name}.png" for name in ("a", "x/b", "c", "d", "e")]


def read(root: Path, data: Data = EYES, **files: str) -> Table:
    make(root, {**FILES, **{name.replace("_", "."): text for name, text in files.items()}}, IMAGES)
    return train_table(root, data)


def error(root: Path, data: Data = EYES, **files: str) -> KitError:
    with pytest.raises(KitError) as caught:
        read(root, data, **files)
    return caught.value


def test_each_column_is_an_image_of_the_rows_answer(tmp_path: Path) -> None:
    table = read(tmp_path)
    assert table.ids.tolist() == ["p1_a", "p1_b", "p2_c"]
    assert [path.name for path in table.paths] == ["a.png", "b.png", "c.png"]
    assert table.answers is not None
    assert table.answers.tolist() == ["p1", "p1", "p2"]
    assert table.labels is not None
    assert table.labels.tolist() == [0, 0, 1]
    test = test_table(tmp_path, EYES, table.classes)
    assert test.ids.tolist() == ["p3_d", "p3_e"]
    assert test.by_answer.ids.tolist() == ["p3"]


def test_a_row_without_an_image_is_named(tmp_path: Path) -> None:
    failure = error(tmp_path, train_csv=TRAIN.replace("p2,c.png,", "p2, ,"))
    assert failure.code == "D02"
    assert str(failure).startswith("D02 1 train rows have no image in left, right")
    assert "row 3 names no image" in str(failure)


def test_a_column_that_does_not_exist_is_named_with_the_nearest(tmp_path: Path) -> None:
    failure = error(tmp_path, EYES.model_copy(update={"images": "images/{left|rigth}"}))
    assert failure.code == "C07"
    assert "no column 'rigth'; did you mean 'right'?" in failure.summary


def test_two_lists_of_columns_in_one_pattern_are_refused(tmp_path: Path) -> None:
    failure = error(tmp_path, EYES.model_copy(update={"images": "{left|right}/{right|left}"}))
    assert failure.code == "C07"


def test_one_image_in_two_columns_is_a_double_id(tmp_path: Path) -> None:
    assert error(tmp_path, train_csv=TRAIN.replace("x/b.png", "a.png")).code == "D24"


def test_a_missing_image_is_named_as_elsewhere(tmp_path: Path) -> None:
    failure = error(tmp_path, train_csv=TRAIN.replace("c.png", "lost.png"))
    assert failure.code == "D02"
    assert "lost.png" in str(failure)
