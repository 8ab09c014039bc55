"""Several labels in one cell: taken apart, checked, counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kit.config.models import LabelFrom
from kit.data.folds import warn_of_duplicates
from kit.data.table import Table, train_table
from kit.errors import KitWarning
from tests.drawn_tables import IMAGES, PLAIN, SAMPLE, csv, make, train_error

ROWS = ("b,dog cat", "a,cat", "t1,", "t2,eel  dog ")


def space(root: Path, *rows: str, sample: str = SAMPLE, **files: str) -> Path:
    return make(root, {"train.csv": csv("id,label", *(rows or ROWS)), "sample.csv": sample, **files}, IMAGES)


def read(root: Path, separator: str = " ", **data: Any) -> Table:
    return train_table(root, PLAIN.model_copy(update={"label_separator": separator, **data}))


def test_cells_become_zeros_and_ones_and_an_empty_cell_is_no_label(tmp_path: Path) -> None:
    table = read(space(tmp_path))
    assert table.classes == ("cat", "dog", "eel")
    assert table.labels is not None
    assert table.labels.dtype == np.int8
    assert table.labels.tolist() == [[1, 1, 0], [1, 0, 0], [0, 0, 0], [0, 1, 1]]
    assert (table.is_multi_label, table.label_kind) == (True, "multi_hot")
    assert table.counts().tolist() == [2, 2, 1]
    assert [table.label_names(row) for row in range(4)] == [("cat", "dog"), ("cat",), (), ("dog", "eel")]
    assert table.take([3, 0]).counts().tolist() == [1, 2, 1]


def test_without_a_separator_a_cell_is_one_label(tmp_path: Path) -> None:
    table = train_table(space(tmp_path, "b,dog cat", "a,cat"), PLAIN)
    assert table.classes == ("cat", "dog cat")
    assert (table.is_multi_label, table.label_kind, table.label_names(0)) == (
        False,
        "class_index",
        ("dog cat",),
    )


@pytest.mark.parametrize("separator", ["|", "; ", "/"])
def test_any_text_separates_and_blanks_around_labels_do_not_count(separator: str, tmp_path: Path) -> None:
    cell = separator.join(["big dog ", "cat"]) + separator
    table = read(space(tmp_path, f"b,{cell}", "a,cat"), separator)
    assert table.classes == ("big dog", "cat")
    assert table.labels is not None
    assert table.labels.tolist() == [[1, 1], [0, 1]]


def test_the_list_of_classes_and_the_sample_s_columns_give_the_order(tmp_path: Path) -> None:
    listed = read(space(tmp_path, **{"c.csv": csv("name", "eel", "dog", "cat", "fox")}), class_list="c.csv")
    assert listed.classes == ("eel", "dog", "cat", "fox")
    assert listed.counts().tolist() == [1, 2, 2, 0]
    by_column = read(space(tmp_path, sample=csv("id,dog,eel,cat", "t1,0,0,0", "t2,0,0,0")))
    assert by_column.classes == ("dog", "eel", "cat")


def test_labels_are_renamed_one_by_one(tmp_path: Path) -> None:
    assert read(space(tmp_path), label_from=LabelFrom(rename={"cat": "felis"})).classes == (
        "dog",
        "eel",
        "felis",
    )


def test_a_label_outside_the_classes_is_refused_with_the_nearest(tmp_path: Path) -> None:
    root = space(tmp_path, "b,dog cta", "a,cat", **{"c.csv": csv("name", "cat", "dog")})
    error = train_error(root, PLAIN.model_copy(update={"label_separator": " ", "class_list": "c.csv"}))
    assert (error.code, error.exit_code) == ("D32", 3)
    assert str(error.cases[0]) == "b: label 'cta' is not a class; did you mean 'cat'?"


def test_a_label_twice_in_a_cell_is_refused_with_its_row(tmp_path: Path) -> None:
    error = train_error(
        space(tmp_path, "b,dog cat dog", "a,cat"), PLAIN.model_copy(update={"label_separator": " "})
    )
    assert (error.code, error.exit_code) == ("D19", 3)
    assert [str(case) for case in error.cases] == ["b: has 'dog' twice"]


def test_classes_that_the_separator_takes_apart_are_refused(tmp_path: Path) -> None:
    root = space(tmp_path, **{"c.csv": csv("name", "cat", "big dog", "eel", "dog")})
    error = train_error(root, PLAIN.model_copy(update={"label_separator": " ", "class_list": "c.csv"}))
    assert (error.code, [str(case) for case in error.cases]) == ("C07", ["big dog"])


def test_factors_of_a_label_are_for_one_label_a_row(tmp_path: Path) -> None:
    data = PLAIN.model_copy(update={"label_separator": " ", "label_parts": ("label",)})
    assert "data.label_parts needs one label per row" in str(train_error(space(tmp_path), data))


def test_images_that_are_the_same_and_have_other_labels_are_listed(tmp_path: Path) -> None:
    table = read(space(tmp_path, "b,dog cat", "a,", "t1,cat", "t2,cat"))
    with pytest.warns(KitWarning) as said:
        warn_of_duplicates(table, np.array([0, 0, 2, 2]))
    texts = [str(each.message) for each in said]
    assert texts[1] == "W02 1 images have conflicting labels\n  b (cat, dog) = a (no label)"


# ------------------------------------------------------------------------------------ a column a class


def columned(root: Path, *rows: str, **data: Any) -> tuple[Path, Any]:
    files = {
        "train.csv": csv("id,dog,cat", *rows),
        "sample.csv": csv("id,cat,dog", "t1,0.5,0.5", "t2,0.5,0.5"),
    }
    return make(root, files, IMAGES), PLAIN.model_copy(update={"label": None, **data})


def test_a_column_a_class_is_read_in_the_sample_s_order(tmp_path: Path) -> None:
    table = train_table(*columned(tmp_path, "b,1,0", "a,1,1.0", "t1,0,0.0"))
    assert table.classes == ("cat", "dog")
    assert table.labels is not None
    assert table.labels.dtype == np.int8
    assert table.labels.tolist() == [[0, 1], [1, 1], [0, 0]]


def test_the_list_of_classes_names_the_columns(tmp_path: Path) -> None:
    root, data = columned(tmp_path, "b,1,0", "a,1,1", class_list="c.csv")
    make(root, {"c.csv": csv("name", "dog")})
    assert train_table(root, data).classes == ("dog",)


def test_a_cell_that_is_neither_0_nor_1_is_named(tmp_path: Path) -> None:
    error = train_error(*columned(tmp_path, "b,1,yes", "a,,1"))
    assert (error.code, error.exit_code) == ("D31", 3)
    assert [str(case) for case in error.cases] == ["b: column 'cat' holds 'yes'", "a: column 'dog' holds ''"]


def test_classes_that_are_no_columns_are_named(tmp_path: Path) -> None:
    root, data = columned(tmp_path, "b,1,0", "a,1,1", class_list="c.csv")
    make(root, {"c.csv": csv("name", "dgo", "cat")})
    error = train_error(root, data)
    assert (error.code, [str(case) for case in error.cases]) == (
        "C07",
        ["dgo: no such column; did you mean 'dog'?"],
    )
    assert "the columns of labels are unknown" in str(
        train_error(root, data.model_copy(update={"class_list": None, "sample": None}))
    )


def test_a_column_a_class_and_labels_that_are_made_do_not_go_together(tmp_path: Path) -> None:
    root, data = columned(
        tmp_path, "b,1,0", "a,1,1", label_separator=" ", label_from=LabelFrom(rename={"cat": "felis"})
    )
    error = train_error(root, data)
    assert (error.code, error.exit_code) == ("C07", 2)
    assert "data.label_separator, data.label_from.rename has no effect" in str(error)
