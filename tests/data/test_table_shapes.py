"""Rows from several tables, joined tables, tables of unlike dialects, file names and characters of ids."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from kit.config.models import Data, JoinedTable, LabelFrom, TableFormat
from kit.config.parsing import validate_config
from kit.data.image_paths import columns_of, fill
from kit.data.table import sample_frame, test_table, train_table
from kit.errors import ConfigError, DataError, KitError
from tests.drawn_tables import csv, make, train_error

PHOTOS = ("photo,shop", "a,s1", "b,s2", "c,s1")
SHOPS = ("shop,label,city", "s2,dear,Ulm", "s1,cheap,Bonn")
IMAGES = [f"images/{name}.jpg" for name in "abct"]
BASE = Data(train="photos.csv", sample=None, id="photo", images="images/{id}")


def shops(root: Path, *rows: str, **keys: Any) -> tuple[Path, Data]:
    make(root, {"photos.csv": csv(*PHOTOS), "shops.csv": csv(*(rows or SHOPS))}, IMAGES)
    joined = JoinedTable(**{"table": "shops.csv", "on": "shop", **keys})
    return root, BASE.model_copy(update={"join": (joined,)})


# ------------------------------------------------------------------------------------------ joined tables


def test_a_joined_table_gives_the_columns_that_pandas_merges(tmp_path: Path) -> None:
    root, data = shops(tmp_path)
    table = train_table(root, data)
    wanted = pd.read_csv(root / "photos.csv").merge(pd.read_csv(root / "shops.csv"), on="shop", how="left")
    assert table.frame.to_dict("list") == wanted.to_dict("list")
    assert [table.label_names(row)[0] for row in range(3)] == ["cheap", "dear", "cheap"]


def test_a_key_may_have_another_name_or_be_made_of_columns(tmp_path: Path) -> None:
    root, data = shops(tmp_path, "id,label", "s1_x,cheap", "s2_x,dear", on="{shop}_x", key="id")
    assert train_table(root, data).frame["label"].tolist() == ["cheap", "dear", "cheap"]


def test_a_column_of_both_tables_keeps_both_where_they_differ(tmp_path: Path) -> None:
    make(tmp_path, {"more.csv": csv("photo,label,shop", "a,x,s1", "b,y,s2", "c,x,s9")})
    root, data = shops(tmp_path, table="more.csv", on="photo")
    frame = train_table(root, data).frame
    assert frame["shop"].tolist() == ["s1", "s2", "s1"]
    assert frame["more.shop"].tolist() == ["s1", "s2", "s9"]


def test_a_key_that_the_table_lacks_is_an_error_or_skipped_or_blank(tmp_path: Path) -> None:
    root, data = shops(tmp_path, *SHOPS[:1], *SHOPS[2:])
    error = train_error(root, data)
    assert (error.code, error.exit_code) == ("D81", 3)
    assert "1 of 3 train rows" in error.summary
    assert str(error.cases[0]).endswith("no row with shop 's2'")
    assert train_table(*shops(tmp_path, *SHOPS[:1], *SHOPS[2:], on_missing="skip")).ids.tolist() == ["a", "c"]
    blank = shops(tmp_path, "shop,city", "s1,Bonn", on_missing="blank")
    frame = train_table(blank[0], blank[1].model_copy(update={"label": "shop"})).frame
    assert frame["city"].tolist() == ["Bonn", "", "Bonn"]


def test_a_table_without_any_of_the_keys_is_an_error_in_any_case(tmp_path: Path) -> None:
    error = train_error(*shops(tmp_path, "shop,label", "S-1,cheap", on_missing="skip"))
    assert (error.code, "all of 3 train rows" in error.summary) == ("D81", True)


def test_a_double_key_is_an_error(tmp_path: Path) -> None:
    error = train_error(*shops(tmp_path, *SHOPS, "s1,dear,Kiel"))
    assert (error.code, str(error.cases[0])) == ("D81", "shops.csv: shop 's1' is on several rows")
    assert "data.train" in error.hint


@pytest.mark.parametrize("keys", [{"on": "shp"}, {"on": "shop", "key": "shp"}])
def test_a_key_that_is_no_column_is_an_error(keys: dict[str, str], tmp_path: Path) -> None:
    error = train_error(*shops(tmp_path, **keys))
    assert (error.code, error.exit_code) == ("C07", 2)
    assert "did you mean 'shop'" in error.summary


def test_a_table_may_be_for_the_rows_to_predict_too(tmp_path: Path) -> None:
    make(tmp_path, {"test.csv": csv("photo,shop", "t,s2")})
    root, data = shops(tmp_path, rows="all")
    rows = test_table(root, data.model_copy(update={"test": "test.csv"}), ("cheap", "dear"))
    assert rows.frame["city"].tolist() == ["Ulm"]


def test_rows_of_class_folders_join_by_the_name_of_the_file(tmp_path: Path) -> None:
    make(
        tmp_path, {"who.csv": csv("id,patient", "cat/1,p", "dog/2,q")}, ["train/cat/1.jpg", "train/dog/2.jpg"]
    )
    joined = JoinedTable(table="who.csv", on="id")
    data = Data(train="train", sample=None, join=(joined,), group="patient")
    table = train_table(tmp_path, data)
    assert table.groups is not None
    assert table.groups.tolist() == ["p", "q"]


# ----------------------------------------------------------------------------------------- several tables


def two(root: Path, second: str = "c,dog,7") -> Data:
    files = {"l_1.csv": csv("id,label", "a,cat", "b,dog"), "l_2.csv": csv("id,label,age", second)}
    make(root, files, IMAGES)
    return Data(train=("l_1.csv", "l_2.csv"), sample=None, images="images/{id}")


def test_several_tables_are_one(tmp_path: Path) -> None:
    table = train_table(tmp_path, two(tmp_path))
    assert table.ids.tolist() == ["a", "b", "c"]
    assert table.targets().tolist() == [0, 1, 1]
    assert table.frame["age"].tolist() == ["", "", "7"]
    assert table.frame["table"].tolist() == ["l_1", "l_1", "l_2"]


def test_an_id_of_two_tables_is_an_error(tmp_path: Path) -> None:
    error = train_error(tmp_path, two(tmp_path, "b,dog,7"))
    assert (error.code, str(error.cases[0])) == ("D24", "b: is in l_1.csv and in l_2.csv")


# ---------------------------------------------------------------------------------------------- dialects


def test_tables_may_have_other_separators_and_encodings(tmp_path: Path) -> None:
    make(tmp_path, images=IMAGES)
    (tmp_path / "train.csv").write_bytes("id;label\na;Äsche\nb;Döbel\n".encode("latin-1"))
    (tmp_path / "sample.csv").write_bytes("id,label\nt,Äsche\n".encode("utf-8-sig"))
    tables = {"./train.csv": TableFormat(sep=";", encoding="latin-1")}
    data = Data(train="train.csv", sample="sample.csv", images="images/{id}", tables=tables)
    assert train_table(tmp_path, data).classes == ("Döbel", "Äsche")
    assert sample_frame(tmp_path, data).columns.tolist() == ["id", "label"]


def test_paths_of_tables_are_below_the_folder() -> None:
    data = Data(
        folder="in",
        train=("a.csv", "b.csv"),
        join=(JoinedTable(table="c.csv", on="id"),),
        tables={"a.csv": TableFormat(sep=";")},
    )
    assert data.train == ("./in/a.csv", "./in/b.csv")
    assert data.join[0].table == "./in/c.csv"
    assert list(data.tables) == ["./in/a.csv"]
    assert Data.model_validate(data.model_dump()) == data


# ----------------------------------------------------------------------------- labels from names and columns


def named(root: Path, regex: str, **keys: Any) -> Data:
    make(root, images=["train/cat.0.jpg", "train/dog.1.jpg", "train/sub/cat.2.jpg"])
    return Data(train="train", sample=None, label_from=LabelFrom(regex=regex), **keys)


def test_the_group_of_a_regex_is_the_label(tmp_path: Path) -> None:
    table = train_table(tmp_path, named(tmp_path, r"(cat|dog)\.\d+"))
    assert table.ids.tolist() == ["cat.0", "dog.1", "sub/cat.2"]
    assert [table.label_names(row)[0] for row in range(3)] == ["cat", "dog", "cat"]


def test_named_groups_are_columns(tmp_path: Path) -> None:
    data = named(tmp_path, r"(?P<kind>[a-z]+)\.(?P<number>\d+)", label="{kind}-{number}", group="kind")
    table = train_table(tmp_path, data)
    assert table.classes == ("cat-0", "cat-2", "dog-1")
    assert table.groups is not None
    assert table.groups.tolist() == ["cat", "dog", "cat"]


def test_names_of_a_tables_images_have_groups_too(tmp_path: Path) -> None:
    make(tmp_path, {"train.csv": csv("id,label", "p1_a,x", "p2_a,y")}, ["images/p1_a.jpg", "images/p2_a.jpg"])
    data = Data(
        train="train.csv",
        sample=None,
        images="images/{id}",
        label_from=LabelFrom(regex=r"^(?P<who>p\d)_"),
        group="who",
    )
    table = train_table(tmp_path, data)
    assert table.groups is not None
    assert table.groups.tolist() == ["p1", "p2"]


def test_a_regex_that_does_not_match_is_an_error(tmp_path: Path) -> None:
    error = train_error(tmp_path, named(tmp_path, r"(eel)"))
    assert (error.code, error.exit_code) == ("D30", 3)
    assert error.summary == "no image path matches data.label_from.regex '(eel)'"
    assert "such as 'cat.0.jpg'" in error.hint
    some = train_error(tmp_path, named(tmp_path, r"(cat)"))
    assert some.summary == "1 image paths do not match data.label_from.regex '(cat)'"
    assert [str(case) for case in some.cases] == ["dog.1: 'dog.1.jpg' does not match"]


@pytest.mark.parametrize(("regex", "said"), [("(cat", "not a regular expression"), ("cat", "needs a group")])
def test_a_regex_that_is_none_or_has_no_group_is_an_error(regex: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        validate_config({"data": {"label_from": {"regex": regex}}})
    assert caught.value.exit_code == 2


HOT = ("id,healthy,rust,scab", "a,0,1,0", "b,1.0,0,0", "c,0,0,1")


def hot(root: Path, *rows: str, names: tuple[str, ...] = ("healthy", "rust", "scab")) -> Data:
    make(root, {"train.csv": csv(*rows)}, IMAGES)
    return Data(train="train.csv", sample=None, images="images/{id}", label_from=LabelFrom(one_hot=names))


def test_the_column_with_the_one_is_the_label(tmp_path: Path) -> None:
    table = train_table(tmp_path, hot(tmp_path, *HOT))
    assert table.classes == ("healthy", "rust", "scab")
    assert table.targets().tolist() == [1, 0, 2]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("c,1,0,1", "has a 1 in healthy and scab"),
        ("c,0,0,0", "has a 1 in no column"),
        ("c,0,x,1", "holds 'x'"),
    ],
)
def test_a_row_without_exactly_one_one_is_an_error(row: str, said: str, tmp_path: Path) -> None:
    error = train_error(tmp_path, hot(tmp_path, *HOT[:3], row))
    assert (error.code, str(error.cases[0])) == ("D31", f"c: {said}")
    assert "data.label=null" in error.hint


def test_a_class_column_that_is_missing_is_an_error(tmp_path: Path) -> None:
    error = train_error(tmp_path, hot(tmp_path, *HOT, names=("healthy", "rusty")))
    assert (error.code, "no column 'rusty'; did you mean 'rust'" in error.summary) == ("C07", True)


# ------------------------------------------------------------------------------------- characters of ids


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("{id[0]}/{id[1]}/{id}.jpg", "4/a/4abc9.jpg"),
        ("{id[:2]}/{id[2:4]}/{id}", "4a/bc/4abc9"),
        ("{id[-1]}/{id[-2:]}", "9/c9"),
        ("{id[9]}x", "x"),
    ],
)
def test_a_pattern_may_name_characters_of_a_column(pattern: str, path: str) -> None:
    assert fill(pattern, {"id": ["4abc9"]}, "data.images") == [path]
    assert set(columns_of(pattern)) == {"id"}


def test_a_column_of_that_very_name_is_meant_first() -> None:
    assert fill("{x[0]}", {"x": ["ab"], "x[0]": ["c"]}, "data.images") == ["c"]
    with pytest.raises(ConfigError, match=r"data.images: no column 'y\[0\]'"):
        fill("{y[0]}", {"x": ["ab"]}, "data.images")


def test_images_in_folders_by_characters_are_found(tmp_path: Path) -> None:
    make(tmp_path, {"train.csv": csv("id,label", "ab1,cat", "cd2,dog")}, ["i/a/b/ab1.jpg", "i/c/d/cd2.jpg"])
    data = Data(train="train.csv", sample=None, images="i/{id[0]}/{id[1]}/{id}")
    assert [path.parent.name for path in train_table(tmp_path, data).paths] == ["b", "d"]
    with pytest.raises(DataError) as caught:
        train_table(tmp_path, data.model_copy(update={"images": "i/{id[0]}/{id[9]}/{id}"}))
    assert isinstance(caught.value, KitError)
    assert caught.value.code == "D02"
