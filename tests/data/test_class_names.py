"""Classes are named as the sample spells them, and a label that it spells otherwise is an error with the rename."""

from __future__ import annotations

import shlex
import warnings
from pathlib import Path

import pytest

from kit.config.models import Data, External, LabelFrom
from kit.config.overrides import apply_overrides
from kit.data.table import Table, train_table
from kit.errors import KitWarning
from tests.drawn_tables import PLAIN, csv, make, train_error


def drawn(
    root: Path,
    labels: list[str],
    sample: list[str],
    header: str = "id,label",
    classes: list[str] | None = None,
) -> Path:
    rows = [f"a{n},{label}" for n, label in enumerate(labels)]
    files = {
        "train.csv": csv("id,label", *rows),
        "sample.csv": csv(header, *(f"t{n},{x}" for n, x in enumerate(sample))),
    }
    if classes is not None:
        files["classes.csv"] = csv("class", *classes)
    return make(root, files, [f"images/a{n}.png" for n in range(len(labels))])


def read(root: Path, data: Data = PLAIN) -> Table:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", KitWarning)
        return train_table(root, data)


LISTED = PLAIN.model_copy(update={"class_list": "classes.csv"})


@pytest.mark.parametrize(
    ("sample", "header", "names"),
    [
        (["0", "0"], "id,label", ("0", "1")),
        (["1", "0"], "id,label", ("0", "1")),
        (["0.5,0.5"], "id,0,1", ("0", "1")),
        (["0.5,0.5"], "id,1,0", ("1", "0")),
        (["1 0"], "id,label", ("0", "1")),
        (["1,0"], "id,first,second", ("0", "1")),
        (["0.5"], "id,1", ("0", "1")),
        (["0.5"], "id,target", ("0.0", "1.0")),
        (["0.25", "1.0"], "id,target", ("0.0", "1.0")),
    ],
)
def test_labels_that_went_through_a_float_are_the_samples_classes(
    sample: list[str], header: str, names: tuple[str, ...], tmp_path: Path
) -> None:
    table = read(drawn(tmp_path, ["0.0", "1.0", "1.0"], sample, header))
    assert table.classes == names
    assert [table.label_names(row) for row in range(3)] == [
        (name,) for name in (("0", "1", "1") if "0" in names else ("0.0", "1.0", "1.0"))
    ]


def test_whole_numbers_are_written_as_floats_where_the_sample_has_them_so(tmp_path: Path) -> None:
    assert read(drawn(tmp_path / "two", ["0", "1"], ["0.0", "0.0"])).classes == ("0.0", "1.0")
    assert read(drawn(tmp_path / "three", ["0", "1", "2"], ["0.0", "2.0"])).classes == ("0.0", "1.0", "2.0")


def test_what_is_one_class_is_said(tmp_path: Path) -> None:
    drawn(tmp_path, ["0.0", "1.0"], ["0"])
    with pytest.warns(
        KitWarning, match=r"W40 .* one class, spelled as in sample.csv: '0.0' is '0', '1.0' is '1'"
    ):
        table = train_table(tmp_path, PLAIN)
    assert table.classes == ("0", "1")


def test_the_samples_spelling_goes_before_the_class_lists_whose_order_is_kept(tmp_path: Path) -> None:
    drawn(tmp_path, ["3", "1.0", "2.0"], ["1", "2"], classes=["02", "01", "03"])
    assert read(tmp_path, LISTED).classes == ("2", "1", "3")
    assert read(tmp_path, LISTED.model_copy(update={"sample": None})).classes == ("02", "01", "03")


def test_leading_zeros_that_a_spreadsheet_took_are_the_class_lists(tmp_path: Path) -> None:
    drawn(tmp_path, ["1", "2", "10"], ["0.1"], "id,x", classes=["01", "02", "10"])
    table = read(tmp_path, LISTED)
    assert table.classes == ("01", "02", "10")
    assert table.targets().tolist() == [0, 1, 2]


def test_two_ways_of_writing_a_number_in_one_table_are_one_class(tmp_path: Path) -> None:
    table = read(drawn(tmp_path, ["10", "9.0", "9", "10.0"], ["x"], "id,target"))
    assert table.classes == ("9", "10")
    assert table.targets().tolist() == [1, 0, 0, 1]


def test_labels_are_in_the_order_of_their_numbers_as_floats_too(tmp_path: Path) -> None:
    assert read(drawn(tmp_path, ["10.0", "9.0", "0.5"], ["x"], "id,target")).classes == ("0.5", "9.0", "10.0")


def test_labels_in_cells_are_numbers_too(tmp_path: Path) -> None:
    data = PLAIN.model_copy(update={"label_separator": " "})
    table = read(drawn(tmp_path, ["0.0 1.0", "2", "1"], ["0 1", "2"]), data)
    assert table.classes == ("0", "1", "2")
    assert table.targets().tolist() == [[1, 1, 0], [0, 0, 1], [0, 1, 0]]


def test_rows_of_other_sources_share_the_classes(tmp_path: Path) -> None:
    drawn(tmp_path, ["0", "1"], ["0"])
    make(tmp_path, {"more.csv": csv("id,label", "m,1.0")}, ["images/m.png"])
    table = read(tmp_path, PLAIN.model_copy(update={"external": External(train="more.csv")}))
    assert table.classes == ("0", "1")
    assert table.targets().tolist() == [0, 1, 1]


def test_columns_of_classes_are_found_by_their_number(tmp_path: Path) -> None:
    files = {"train.csv": csv("id,0.0,1.0", "a,1.0,0.", "b,0,1"), "sample.csv": csv("id,1,0", "t,0.5,0.5")}
    make(tmp_path, files, ["images/a.png", "images/b.png"])
    table = read(tmp_path, PLAIN.model_copy(update={"label": None}))
    assert table.classes == ("1", "0")
    assert table.targets().tolist() == [[0, 1], [1, 0]]


def test_ids_stay_byte_for_byte(tmp_path: Path) -> None:
    files = {"train.csv": csv("id,label", "1.0,0.0", "01,1.0"), "sample.csv": csv("id,label", "1,0")}
    make(tmp_path, files, ["images/1.0.png", "images/01.png"])
    assert read(tmp_path).ids.tolist() == ["1.0", "01"]


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("cat ", "cat"),
        ("Cat", "cat"),
        ("cat\u00a0", "cat"),
        ("c\u200bat", "cat"),
        ("cafe\u0301", "café"),
        ("cafÃ©", "café"),
        ("TRUE", "True"),
        ("1.10", "1.1"),
    ],
)
@pytest.mark.parametrize("how", ["cells", "columns", "classes"])
def test_another_spelling_than_the_right_one_is_an_error_whose_hint_corrects_it(
    how: str, wrong: str, right: str, tmp_path: Path
) -> None:
    labels, other = [wrong, right, wrong, "other"], ["other", right]
    if how == "columns":
        drawn(tmp_path, labels, ["0.5,0.5"], f"id,{right},other")
    else:
        drawn(tmp_path, labels, [right], classes=other if how == "classes" else None)
    data = LISTED if how == "classes" else PLAIN
    error = train_error(tmp_path, data)
    assert (error.code, error.exit_code, len(error.cases)) == ("D32", 3, 2)
    assert repr(right) in error.cases[0].detail
    assert wrong not in error.cases[0].detail or wrong.isprintable()
    line = shlex.split(error.hint.partition("; ")[0])[0]
    names = apply_overrides({}, [line])["data"]["label_from"]["rename"]
    assert names == {wrong: right}
    table = read(tmp_path, data.model_copy(update={"label_from": LabelFrom(rename=names)}))
    assert set(table.classes) == {right, "other"}
    assert table.counts().sum() == 4


def test_a_leading_zero_beside_the_number_is_an_error_where_the_sample_shows_one(tmp_path: Path) -> None:
    drawn(tmp_path, ["1", "01", "2"], ["1"])
    error = train_error(tmp_path)
    assert "'01' is spelled differently in sample.csv; did you mean '1'?" in error.cases[0].detail


def test_a_class_list_that_has_both_spellings_means_two_classes(tmp_path: Path) -> None:
    drawn(tmp_path, ["1", "01", "Cat", "cat"], ["cat"], classes=["1", "01", "Cat", "cat"])
    assert read(tmp_path, LISTED).classes == ("1", "01", "Cat", "cat")


def test_letters_of_both_cases_are_classes_of_their_own(tmp_path: Path) -> None:
    assert read(drawn(tmp_path, ["a", "A", "b", "B"], ["A"])).classes == ("A", "B", "a", "b")


def test_the_column_of_a_probability_shows_how_its_class_is_spelled(tmp_path: Path) -> None:
    drawn(tmp_path, ["Benign", "Malignant"], ["0.5"], "id,benign")
    assert "did you mean 'benign'?" in train_error(tmp_path).cases[0].detail


def test_a_label_of_an_invisible_character_is_no_label(tmp_path: Path) -> None:
    assert train_error(drawn(tmp_path, ["cat", "\u200b"], ["cat"])).code == "D30"


def test_where_classes_are_listed_the_sample_need_not_be_there(tmp_path: Path) -> None:
    drawn(tmp_path, ["cat", "dog"], ["cat"], classes=["dog", "cat"])
    (tmp_path / "sample.csv").unlink()
    assert read(tmp_path, LISTED).classes == ("dog", "cat")
